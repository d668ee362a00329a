"""Groups of cases as malformed outputs are known from serving engines, then properties over all."""

import itertools
import json
import logging
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.chat import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    OutputParser,
    ParsedOutput,
    Tokenizer,
    ToolCall,
    encode_chat,
    parse_output,
)
from openk2.chat.parsing import TEXT_MARKERS

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


# 3: markers spelt as text


@pytest.mark.parametrize("cut", range(1, len(SINGULAR)))
def test_a_text_marker_cut_at_any_character_leaks_nothing(tokenizer: Tokenizer, cut: int) -> None:
    parser = OutputParser(tokenizer, TOOLS)
    before = parser.feed(encode(tokenizer, ["see ", SINGULAR[:cut]]))
    assert before == [ContentDelta("see ")]
    after = parser.feed(encode(tokenizer, [SINGULAR[cut:], *call("functions.bash:0")]))
    assert after[0] == CallStart(0, "functions.bash:0", "bash")


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
        ("functions.search", "functions.search:6"),
    ],
)
def test_mangled_ids_come_out_canonical(tokenizer: Tokenizer, written: str, canonical: str) -> None:
    parser = OutputParser(tokenizer, TOOLS, first_number=6)
    events = parser.feed(encode(tokenizer, call(written)))
    assert events[0] == CallStart(0, canonical, "search" if "search" in canonical else "bash")


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


@pytest.mark.parametrize("name", ["mcp-files-read", "restaurant.find_group", "ns:tool", "工具"])
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
    assert (parser.completed_calls, parser.dropped_calls) == (1, 1)
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
    parts = [*call("functions.bash:0", "{'a'}"), *call("functions.bash:1", "[" * 9999)]
    parser.feed(encode(tokenizer, [*parts, *call("functions.bash:2", '{"n": 1}')]))
    assert (parser.completed_calls, parser.invalid_arguments) == (3, 2)


# 15, 16: characters and state


def test_a_character_of_several_tokens_is_held_until_it_is_whole(tokenizer: Tokenizer) -> None:
    ids = [
        next(i for i, t in enumerate(tokenizer.tokens) if t == bytes([b])) for b in "🦊".encode()
    ]
    parser = OutputParser(tokenizer, ())
    assert [parser.feed([i]) for i in ids] == [[], [], [], [ContentDelta("🦊")]]
    assert parser.feed(ids[:2]) == []
    assert parser.finish() == [ContentDelta("\ufffd")]


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


# Properties

ATOMS = [
    *SPECIALS, *TEXT_MARKERS, *call("functions.bash:0", '{"a": "b c"}'), "functions.search:1",
    "search:2", "3", "functions.other:1", '{"q": "', '"}', "\\", '"', " ", "\n", "text ", "<", "<|",
    "<|tool_call", "_begin|>", "s_section_begin|>", "漢字", "😀", f'{{"m": "{END}"}}', TURN_END[:5],
]  # fmt: skip
outputs = st.lists(
    st.one_of(st.sampled_from(ATOMS), st.sampled_from(SPECIALS[:5]), st.text(max_size=3)),
    max_size=25,
)
tool_sets = st.sampled_from([(), ("bash",), TOOLS])
NAMES = {"search": ["q"], "bash": ["a", "m"]}


def events_of(
    tokenizer: Tokenizer, pieces: Iterable[Sequence[int]], tools: Sequence[str]
) -> list[OutputEvent]:
    parser = OutputParser(tokenizer, tools, argument_names=NAMES)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.finish()


def joined(events: Iterable[OutputEvent]) -> list[tuple[Any, ...]]:
    """Events with neighbouring texts joined: what must not depend on the cuts."""
    result: list[tuple[Any, ...]] = []
    for event in events:
        match event:
            case ContentDelta(text) | CallArguments(_, text):
                key: tuple[Any, ...] = (type(event), getattr(event, "index", None))
                if result and result[-1][:2] == key:
                    result[-1] = (*key, result[-1][2] + text)
                else:
                    result.append((*key, text))
            case _:
                result.append((event,))
    return result


@settings(max_examples=120)
@given(parts=outputs, cuts=st.lists(st.integers(0, 200), max_size=6), tools=tool_sets)
def test_no_cut_between_tokens_changes_the_result(
    tokenizer: Tokenizer, parts: list[str], cuts: list[int], tools: Sequence[str]
) -> None:
    ids = encode(tokenizer, parts)
    edges = sorted({0, len(ids), *(cut for cut in cuts if cut < len(ids))})
    pieces = [ids[start:end] for start, end in itertools.pairwise(edges)]
    whole = joined(events_of(tokenizer, [ids], tools))
    assert joined(events_of(tokenizer, pieces, tools)) == whole
    assert joined(events_of(tokenizer, [[i] for i in ids], tools)) == whole


@settings(max_examples=120)
@given(parts=outputs)
def test_text_markers_work_however_the_text_is_tokenized(
    tokenizer: Tokenizer, parts: list[str]
) -> None:
    text = "".join(parts)
    by_byte = {token: i for i, token in enumerate(tokenizer.tokens) if len(token) == 1}
    bytewise = [by_byte[bytes([byte])] for byte in text.encode()]
    whole = joined(events_of(tokenizer, [tokenizer.encode(text)], TOOLS))
    assert joined(events_of(tokenizer, [[i] for i in bytewise], TOOLS)) == whole


@settings(max_examples=120)
@given(parts=outputs, tools=tool_sets)
def test_any_output_gives_a_well_formed_stream(
    tokenizer: Tokenizer, parts: list[str], tools: Sequence[str]
) -> None:
    ids = encode(tokenizer, parts)
    open_call: int | None = None
    started: list[str] = []
    for event in events_of(tokenizer, [[i] for i in ids], tools):
        match event:
            case CallStart(index, call_id, name):
                assert index == len(started)
                assert name in tools
                assert call_id.startswith(f"functions.{name}:")
                started.append(call_id)
                open_call = index
            case CallArguments(index, text):
                assert index == open_call
                assert text
            case CallEnd(index):
                assert index == open_call
                open_call = None
            case ContentDelta(text):
                assert text
                assert open_call is None
    assert len(set(started)) == len(started)


@settings(max_examples=120)
@given(parts=outputs)
def test_no_marker_reaches_the_content(tokenizer: Tokenizer, parts: list[str]) -> None:
    # A marker that two parts of the text form around a removed one is the model's own text.
    text = [part for part in parts if part in SPECIALS or part in TEXT_MARKERS or "<" not in part]
    text = [part for part in text if "begin|>" not in part or part in TEXT_MARKERS]
    content = parse_output(tokenizer, encode(tokenizer, text), TOOLS).content
    assert not any(marker in content for marker in TEXT_MARKERS)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6), st.sampled_from(ATOMS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
argument_texts = st.dictionaries(st.text(max_size=4), json_values, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)


@settings(max_examples=120)
@given(
    content=st.text(st.characters(exclude_characters="<", codec="utf-8"), max_size=20),
    arguments=st.lists(argument_texts, max_size=3),
    spelt=st.booleans(),
)
def test_parsing_a_rendered_answer_gives_the_answer_back(
    tokenizer: Tokenizer, content: str, arguments: list[str], spelt: bool
) -> None:
    calls = [made(f"functions.bash:{number}", text) for number, text in enumerate(arguments)]
    tool_calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in calls
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls}
    encoded = encode_chat(tokenizer, [message], generation_prompt=False)
    ids = [i for i, mine in zip(encoded.token_ids, encoded.learned, strict=True) if mine]
    if spelt:
        ids = tokenizer.encode(tokenizer.decode(ids[:-1]))
    assert parse_output(tokenizer, ids, TOOLS) == ParsedOutput(content, tuple(calls))
