"""The groups of malformed outputs that are known from serving engines, one after the other.

Their numbers are those of docs/design/chat-format.md.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from openk2.chat import (
    CallArguments,
    CallCounts,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputParser,
    ParsedOutput,
    Tokenizer,
    ToolCall,
    parse_output,
)
from openk2.chat.markers import TEXT_MARKERS

SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGS, END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
TURN_END = "<|im_end|>"
SINGULAR, SINGULAR_END = "<|tool_call_section_begin|>", "<|tool_call_section_end|>"
SPECIALS = (SECTION, SECTION_END, CALL, ARGS, END, TURN_END, "[EOS]", "<|im_user|>", "[PAD]")
TOOLS = ("search", "bash")


def encode(tokenizer: Tokenizer, parts: Iterable[str]) -> list[int]:
    """A part that is exactly the name of a special becomes its id; the others are text."""
    ids: list[int] = []
    for part in parts:
        ids += [tokenizer.special(part)] if part in SPECIALS else tokenizer.encode(part)
    return ids


def parse(
    tokenizer: Tokenizer, *parts: str, tools: Sequence[str] = TOOLS, **more: Any
) -> ParsedOutput:
    return parse_output(tokenizer, encode(tokenizer, parts), tools, **more)


def call(call_id: str, arguments: str = "{}") -> tuple[str, ...]:
    return (CALL, call_id, ARGS, arguments, END)


def made(call_id: str, arguments: str = "{}") -> ToolCall:
    return ToolCall(call_id, call_id.removeprefix("functions.").rpartition(":")[0], arguments)


# 1, 2: the well-formed output


def test_content_then_a_section_keeps_the_content_exactly(tokenizer: Tokenizer) -> None:
    output = parse(
        tokenizer, "Let me look. \n ", SECTION, *call("functions.search:4"), SECTION_END, TURN_END
    )
    assert output == ParsedOutput("Let me look. \n ", (made("functions.search:4"),))


def test_several_calls_keep_order_and_ids_and_one_delta_may_hold_them_all(
    tokenizer: Tokenizer,
) -> None:
    names = ["functions.search:3", "functions.bash:4", "functions.search:5"]
    parts = [SECTION, *(part for i in names for part in call(i, '{"q": "é"}')), SECTION_END]
    assert parse(tokenizer, *parts).tool_calls == tuple(made(i, '{"q": "é"}') for i in names)
    events = OutputParser(tokenizer, TOOLS).feed(encode(tokenizer, parts))
    assert [event.index for event in events if isinstance(event, CallEnd)] == [0, 1, 2]


def test_each_call_streams_as_start_arguments_end(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    events = parser.feed(encode(tokenizer, ["ok", SECTION, *call("functions.bash:7", "[1]")]))
    assert events == [
        ContentDelta("ok"),
        CallStart(0, "functions.bash:7", "bash"),
        CallArguments(0, "[1]"),
        CallEnd(0),
    ]
    assert parser.completed_calls == 1


def test_arguments_stream_before_they_are_complete(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parser.feed(encode(tokenizer, [CALL, "functions.bash:0", ARGS]))
    assert parser.feed(encode(tokenizer, ['{"cmd":'])) == [CallArguments(0, '{"cmd":')]


def test_inside_a_json_string_a_marker_is_held_back_until_the_string_goes_on(
    tokenizer: Tokenizer,
) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parser.feed(encode(tokenizer, [CALL, "functions.bash:0", ARGS]))
    assert parser.feed(tokenizer.encode('{"cmd": "a <b')) == [CallArguments(0, '{"cmd": "a <b')]
    for text in ("<|tool_call", "_end|>", ' is a marker"'):
        assert parser.feed(tokenizer.encode(text)) == []
    held = '<|tool_call_end|> is a marker"}'
    assert parser.feed(tokenizer.encode("}")) == [CallArguments(0, held)]


# 3: markers spelt as text


@pytest.mark.parametrize("marker", TEXT_MARKERS)
def test_a_text_marker_cut_at_any_character_leaks_nothing(
    tokenizer: Tokenizer, marker: str
) -> None:
    for cut in range(1, len(marker)):
        parser = OutputParser(tokenizer, TOOLS)
        before = parser.feed(encode(tokenizer, ["see ", marker[:cut]]))
        assert before == [ContentDelta("see ")]
        after = parser.feed(tokenizer.encode(marker[cut:]))
        assert after == []


def test_only_the_longest_suffix_that_may_begin_a_marker_is_held_back(
    tokenizer: Tokenizer,
) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    assert parser.feed(tokenizer.encode("a <b <<|tool_")) == [ContentDelta("a <b <")]
    assert parser.feed(tokenizer.encode("x")) == [ContentDelta("<|tool_x")]


@pytest.mark.parametrize("text", ["a < b", "<|tool_call", SECTION[:-1], TURN_END])
def test_what_only_looks_like_a_marker_is_content(tokenizer: Tokenizer, text: str) -> None:
    assert parse_output(tokenizer, tokenizer.encode(text), TOOLS).content == text
    assert parse(tokenizer, f"{text} x").content == f"{text} x"


def test_held_text_is_flushed_before_a_special(tokenizer: Tokenizer) -> None:
    output = parse(tokenizer, "a <|tool", SECTION, *call("functions.bash:0"))
    assert output == ParsedOutput("a <|tool", (made("functions.bash:0"),))


# 4, 5: outputs that end early


@pytest.mark.parametrize("ending", [(), (TURN_END,), ("[EOS]",)])
def test_a_missing_section_end_keeps_the_complete_calls(
    tokenizer: Tokenizer, ending: tuple[str, ...]
) -> None:
    output = parse(tokenizer, SECTION, *call("functions.bash:0"), *ending)
    assert output.tool_calls == (made("functions.bash:0"),)


def test_a_call_cut_inside_its_arguments_streams_them_but_is_not_complete(
    tokenizer: Tokenizer,
) -> None:
    parts = [SECTION, *call("functions.bash:0"), CALL, "functions.search:1", ARGS, '{"q": "wea']
    parser = OutputParser(tokenizer, TOOLS)
    events = parser.feed(encode(tokenizer, parts)) + parser.finish()
    assert events[-1] == CallArguments(1, '{"q": "wea')
    assert parser.completed_calls == 1
    assert parse(tokenizer, *parts).tool_calls == (made("functions.bash:0"),)


def test_a_call_cut_inside_its_id_leaves_no_trace(tokenizer: Tokenizer) -> None:
    assert parse(tokenizer, "x", SECTION, CALL, "functions.sea") == ParsedOutput("x", ())


@pytest.mark.parametrize("ending", [(), (TURN_END,), (" \n",), ("<|tool_call_e",)])
def test_a_call_of_which_only_the_end_marker_is_missing_is_complete(
    tokenizer: Tokenizer, ending: tuple[str, ...]
) -> None:
    output = parse(tokenizer, SECTION, *call("functions.bash:0", '{"a": 1}')[:-1], *ending)
    assert output.tool_calls == (made("functions.bash:0", '{"a": 1}'),)


@pytest.mark.parametrize("arguments", ["", '{"a": 1', "12", '"a"', "{} }"])
def test_arguments_that_may_go_on_are_not_complete_without_an_end_marker(
    tokenizer: Tokenizer, arguments: str
) -> None:
    assert parse(tokenizer, *call("functions.bash:0", arguments)[:-1]).tool_calls == ()


def test_calls_that_the_end_cuts_off_are_counted(tokenizer: Tokenizer) -> None:
    for parts in ([CALL], [CALL, "functions.ba"], [CALL, "functions.bash:0", ARGS, '{"a']):
        parser = OutputParser(tokenizer, TOOLS)
        parser.feed(encode(tokenizer, [*call("functions.bash:7"), *parts]))
        assert parser.counts == CallCounts(completed=1)
        parser.finish()
        assert parser.counts == CallCounts(completed=1, truncated=1)


def test_a_call_without_its_end_marker_is_complete_when_the_next_marker_comes(
    tokenizer: Tokenizer,
) -> None:
    open_call = (CALL, "functions.bash:0", ARGS, "{}")
    output = parse(tokenizer, SECTION, *open_call, *call("functions.bash:1"))
    assert output.tool_calls == (made("functions.bash:0"), made("functions.bash:1"))
    assert parse(tokenizer, *open_call, SECTION_END).tool_calls == (made("functions.bash:0"),)


def test_nothing_counts_after_a_stop_token(tokenizer: Tokenizer) -> None:
    output = parse(tokenizer, "a", TURN_END, "b", *call("functions.bash:0"))
    assert output == ParsedOutput("a", ())


# 6, 7, 8: sections


def test_a_bare_call_without_a_section_counts(tokenizer: Tokenizer) -> None:
    output = parse(tokenizer, "x", *call("functions.bash:0"), TURN_END)
    assert output == ParsedOutput("x", (made("functions.bash:0"),))


def test_a_whole_section_spelt_as_text_with_singular_markers_counts(tokenizer: Tokenizer) -> None:
    text = "Sure. " + SINGULAR + "".join(call("functions.bash:0", '{"a":1}')) + SINGULAR_END
    output = parse(tokenizer, text)
    assert output == ParsedOutput("Sure. ", (made("functions.bash:0", '{"a":1}'),))


@pytest.mark.parametrize("orphan", [END, SECTION_END, ARGS, SINGULAR_END])
@pytest.mark.parametrize("spelt", [False, True])
def test_orphan_markers_in_prose_go_and_the_text_around_them_stays(
    tokenizer: Tokenizer, orphan: str, spelt: bool
) -> None:
    parts = [f"one {orphan} two "] if spelt else ["one ", orphan, " two "]
    if orphan != SINGULAR_END or spelt:
        content = parse(tokenizer, *parts).content
        assert content.split() == ["one", "two"]
        assert content.startswith("one ")


def test_white_space_between_markers_and_around_ids_and_arguments_is_trimmed(
    tokenizer: Tokenizer,
) -> None:
    output = parse(
        tokenizer, "x", SECTION, "\n ", *call(" functions.bash:0\n", '\n {"a": 1} \n'), "\n",
        *call("functions.bash:1"), "\n\n", SECTION_END, "\n", TURN_END,
    )  # fmt: skip
    assert output == ParsedOutput(
        "x", (made("functions.bash:0", '{"a": 1}'), made("functions.bash:1"))
    )


def test_an_empty_section_is_no_call(tokenizer: Tokenizer) -> None:
    assert parse(tokenizer, "x", SECTION, "\n", SECTION_END, TURN_END) == ParsedOutput("x", ())


def test_text_after_a_section_is_content_and_a_second_section_counts(tokenizer: Tokenizer) -> None:
    parts = [SECTION, *call("functions.bash:0"), SECTION_END, " then\n"]
    output = parse(tokenizer, "a", *parts, SECTION, *call("functions.bash:1"), SECTION_END, "end ")
    assert output.content == "a then\nend "
    assert output.tool_calls == (made("functions.bash:0"), made("functions.bash:1"))


# 9, 10, 13: ids and names


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("search:2", "functions.search:2"),
        ("functions.bash30", "functions.bash:30"),
        ("functions_search_0", "functions.search:0"),
        ("functions.se\narch:1", "functions.search:1"),
        ("functions.search", "functions.search:0"),
        ("functions.search:05", "functions.search:5"),
    ],
)
def test_mangled_ids_come_out_canonical_and_are_counted(
    tokenizer: Tokenizer, written: str, canonical: str
) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    events = parser.feed(encode(tokenizer, call(written)))
    assert events[0] == CallStart(0, canonical, "search" if "search" in canonical else "bash")
    assert parser.counts == CallCounts(completed=1, recovered=1)


def test_white_space_around_an_id_is_not_a_mangled_id(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parser.feed(encode(tokenizer, call("\n functions.bash:1 ")))
    assert parser.counts == CallCounts(completed=1)


@pytest.mark.parametrize("written", ["functions.bash:0", "functions.bash:5", "functions.bash"])
def test_a_number_of_the_history_is_not_given_again(tokenizer: Tokenizer, written: str) -> None:
    parser = OutputParser(tokenizer, TOOLS, first_number=6)
    events = parser.feed(encode(tokenizer, [*call(written), *call("functions.bash:9")]))
    assert [event.id for event in events if isinstance(event, CallStart)] == [
        "functions.bash:6",
        "functions.bash:9",
    ]


def test_an_id_without_arguments_is_a_call_without_arguments(tokenizer: Tokenizer) -> None:
    assert parse(tokenizer, CALL, "functions.bash:0", END).tool_calls == (made("functions.bash:0"),)
    assert parse(tokenizer, CALL, "functions.rm:0", END) == ParsedOutput("", ())


def test_a_bare_counter_means_the_only_tool(tokenizer: Tokenizer) -> None:
    assert parse(tokenizer, *call("3"), tools=["bash"]).tool_calls == (made("functions.bash:3"),)


def test_a_bare_counter_among_tools_is_placed_by_its_argument_keys(tokenizer: Tokenizer) -> None:
    names = {"search": ["q", "n"], "bash": ["cmd", "n"]}
    output = parse(tokenizer, *call("3", '{"cmd": 1, "n": 2}'), argument_names=names)
    assert output.tool_calls == (made("functions.bash:3", '{"cmd": 1, "n": 2}'),)
    for arguments in ('{"n": 2}', "{}", "cmd", '["cmd"]'):
        assert parse(tokenizer, *call("3", arguments), argument_names=names).tool_calls == ()


def test_a_repeated_id_gets_a_number_of_its_own(tokenizer: Tokenizer) -> None:
    output = parse(tokenizer, *call("functions.bash:4"), *call("functions.bash:4"))
    assert [c.id for c in output.tool_calls] == ["functions.bash:4", "functions.bash:5"]


@pytest.mark.parametrize(
    "name", ["mcp-files-read", "restaurant.find_group", "ns:tool", "工具", "a b"]
)
def test_names_may_hold_hyphens_dots_and_colons(tokenizer: Tokenizer, name: str) -> None:
    output = parse(tokenizer, *call(f"functions.{name}:0"), tools=[name])
    assert output.tool_calls == (ToolCall(f"functions.{name}:0", name, "{}"),)


def test_an_undeclared_tool_is_dropped_counted_and_logged(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parts = ["x", SECTION, *call("functions.rm:0", '{"a": 1}'), *call("functions.bash:1")]
    with caplog.at_level(logging.WARNING):
        events = parser.feed(encode(tokenizer, parts))
    assert events[:2] == [ContentDelta("x"), CallStart(0, "functions.bash:1", "bash")]
    assert parser.counts == CallCounts(completed=1, undeclared=1)
    assert "functions.rm:0" in caplog.text


# 11, 12: arguments


@pytest.mark.parametrize(
    "arguments",
    [
        '{"html": "<div>{\\"a\\": 1}</div>"}',
        '{"a": "漢字 😀 é\\u00e9", "b": "\\\\"}',
        f'{{"a": "say {END} or {SECTION_END}", "b": "{CALL}"}}',
        '{"a": "\\\\\\"' + END + '"}',
        '{"a": "' + "x <|tool_call " * 7000 + '"}',
        '{"a": "<|tool_call"}',
        "not json at all",
        '{"a":',
        "[" * 4000,
        '"lone string"',
    ],
    ids=[
        "html",
        "unicode",
        "markers",
        "escaped-quote",
        "100kB",
        "prefix",
        "bare",
        "open",
        "deep",
        "string",
    ],
)
def test_arguments_are_verbatim(tokenizer: Tokenizer, arguments: str) -> None:
    output = parse(tokenizer, SECTION, *call("functions.bash:0", arguments), SECTION_END)
    assert output == ParsedOutput("", (made("functions.bash:0", arguments),))


def test_missing_arguments_are_an_empty_object(tokenizer: Tokenizer) -> None:
    assert parse(tokenizer, *call("functions.bash:0", " \n")).tool_calls[0].arguments == "{}"


def test_arguments_that_are_not_json_are_counted(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    long_number = f'{{"n": {"9" * 5000}}}'
    texts = ["{'a'}", "[" * 9999, '{"n": NaN}', '{"n": 1}', "[]", long_number, ""]
    for number, text in enumerate(texts):
        parser.feed(encode(tokenizer, call(f"functions.bash:{number}", text)))
    assert parser.counts == CallCounts(completed=7, invalid_arguments=3)


# 14: what a stream of chunks is made of


def test_a_call_is_announced_once_and_its_arguments_are_never_empty(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parts = [SECTION, *call("functions.bash:0", ' {"a": "b"} '), *call("functions.bash:1", "")]
    events = [e for i in encode(tokenizer, [*parts, SECTION_END]) for e in parser.feed([i])]
    events += parser.finish()
    kinds = "".join(type(event).__name__[4] for event in events)
    assert kinds.replace("A", "") == "SESE"
    assert all(event.text for event in events if isinstance(event, CallArguments))
    assert kinds.startswith("SA")
    assert kinds.endswith("SAE")


# 15, 16: characters and state


def test_a_character_of_several_tokens_is_held_until_it_is_whole(tokenizer: Tokenizer) -> None:
    ids = [
        next(i for i, t in enumerate(tokenizer.tokens) if t == bytes([b])) for b in "🦊".encode()
    ]
    parser = OutputParser(tokenizer, ())
    assert [parser.feed([i]) for i in ids] == [[], [], [], [ContentDelta("🦊")]]
    assert parser.feed(ids[:2]) == []
    assert parser.finish() == [ContentDelta("\ufffd")]


def test_a_character_cut_off_before_a_marker_does_not_spoil_what_follows(
    tokenizer: Tokenizer,
) -> None:
    first = next(i for i, t in enumerate(tokenizer.tokens) if t == "é".encode()[:1])
    ids = [first, *encode(tokenizer, [*call("functions.bash:0"), "é"])]
    assert parse_output(tokenizer, ids, TOOLS) == ParsedOutput(
        "\ufffdé", (made("functions.bash:0"),)
    )


def test_other_specials_and_ids_outside_the_vocabulary_never_raise(tokenizer: Tokenizer) -> None:
    ids = encode(tokenizer, ["a", "[PAD]", "<|im_user|>", "b"])
    output = parse_output(tokenizer, [*ids, -1, tokenizer.vocab_size], TOOLS)
    assert output.content == "ab\ufffd\ufffd"


def test_finish_twice_and_feeding_after_it_give_nothing(tokenizer: Tokenizer) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    parser.feed(encode(tokenizer, ["a <"]))
    assert parser.finish() == [ContentDelta("<")]
    assert parser.finish() == []
    assert parser.feed(encode(tokenizer, ["b"])) == []


def test_a_parser_begins_anew_with_every_response(tokenizer: Tokenizer) -> None:
    ids = encode(tokenizer, [SECTION, CALL, "functions.bash:0", ARGS, '{"a": "'])
    OutputParser(tokenizer, TOOLS).feed(ids)
    assert parse(tokenizer, 'x"}', END) == ParsedOutput('x"}', ())
