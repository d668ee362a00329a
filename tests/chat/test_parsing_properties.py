"""What holds for any output: cuts do not matter, text and ids agree, the stream is well formed."""

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import assume, given, settings
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
    join_events,
    parse_output,
    parse_output_text,
)
from openk2.chat.markers import TEXT_MARKERS

SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGS, END = "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>"
SINGULAR, SINGULAR_END = "<|tool_call_section_begin|>", "<|tool_call_section_end|>"
CONTROL = (SECTION, SECTION_END, CALL, ARGS, END, "<|im_end|>", "[EOS]", "<|im_user|>", "[PAD]")
TOOLS = ("search", "bash")
NAMES = {"search": ["q"], "bash": ["a", "m"]}


def encode(tokenizer: Tokenizer, parts: Iterable[str]) -> list[int]:
    """A part that is exactly the name of a special becomes its id; the others are text."""
    ids: list[int] = []
    for part in parts:
        ids += [tokenizer.special(part)] if part in CONTROL else tokenizer.encode(part)
    return ids


def events_of(
    tokenizer: Tokenizer, pieces: Iterable[Sequence[int]], tools: Sequence[str] = TOOLS
) -> list[OutputEvent]:
    parser = OutputParser(tokenizer, tools, argument_names=NAMES)
    return [event for piece in pieces for event in parser.feed(piece)] + parser.finish()


def text_events_of(
    tokenizer: Tokenizer, pieces: Iterable[str], tools: Sequence[str] = TOOLS
) -> list[OutputEvent]:
    parser = OutputParser(tokenizer, tools, argument_names=NAMES)
    return [event for piece in pieces for event in parser.feed_text(piece)] + parser.finish()


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


# Outputs of any kind: pieces of all that can occur, in any order.

ATOMS = [
    *CONTROL, *TEXT_MARKERS, CALL, "functions.bash:0", ARGS, '{"a": "b c"}', END,
    "functions.search:1", "search:2", "3", "functions.other:1", '{"q": "', '"}', "\\", '"', " ",
    "\n", "text ", "<", "<|", "[", "<|tool_call", "_begin|>", "s_section_begin|>", "漢字", "😀",
    f'{{"m": "{END}"}}', "<|im_", "<think>",
]  # fmt: skip
outputs = st.lists(
    st.one_of(st.sampled_from(ATOMS), st.sampled_from(CONTROL[:5]), st.text(max_size=3)),
    max_size=25,
)
tool_sets = st.sampled_from([(), ("bash",), TOOLS])


@settings(max_examples=100)
@given(parts=outputs, tools=tool_sets)
def test_no_cut_between_tokens_changes_the_result(
    tokenizer: Tokenizer, parts: list[str], tools: Sequence[str]
) -> None:
    ids = encode(tokenizer, parts)
    whole = joined(events_of(tokenizer, [ids], tools))
    assert joined(events_of(tokenizer, [[i] for i in ids], tools)) == whole
    for cut in range(1, len(ids)):
        assert joined(events_of(tokenizer, [ids[:cut], ids[cut:]], tools)) == whole


@settings(max_examples=40)  # each of some sixty cuts
@given(parts=outputs, tools=tool_sets)
def test_no_cut_between_characters_changes_the_result(
    tokenizer: Tokenizer, parts: list[str], tools: Sequence[str]
) -> None:
    text = "".join(parts)
    whole = joined(text_events_of(tokenizer, [text], tools))
    assert joined(text_events_of(tokenizer, text, tools)) == whole
    for cut in range(1, len(text)):
        assert joined(text_events_of(tokenizer, [text[:cut], text[cut:]], tools)) == whole


@settings(max_examples=100)
@given(parts=outputs)
def test_spelt_markers_work_however_the_text_is_tokenized(
    tokenizer: Tokenizer, parts: list[str]
) -> None:
    text = "".join(parts)
    by_byte = {token: i for i, token in enumerate(tokenizer.tokens) if len(token) == 1}
    bytewise = [by_byte[bytes([byte])] for byte in text.encode()]
    whole = joined(events_of(tokenizer, [tokenizer.encode(text)]))
    assert joined(events_of(tokenizer, [[i] for i in bytewise])) == whole


@settings(max_examples=100)
@given(parts=outputs)
def test_text_says_what_its_ids_say(tokenizer: Tokenizer, parts: list[str]) -> None:
    # Quotes, behind which a special may stand in an open string, are the documented difference;
    # the name of a special that ordinary pieces form together is the other.
    ids = encode(tokenizer, [part for part in parts if '"' not in part])
    text = tokenizer.decode(ids)
    assume(specials_in(tokenizer, tokenizer.encode_markup(text)) == specials_in(tokenizer, ids))
    assert joined(text_events_of(tokenizer, [text])) == joined(events_of(tokenizer, [ids]))


def specials_in(tokenizer: Tokenizer, ids: Iterable[int]) -> list[int]:
    return [i for i in ids if tokenizer.is_special(i)]


@settings(max_examples=100)
@given(parts=outputs)
def test_no_marker_reaches_the_content(tokenizer: Tokenizer, parts: list[str]) -> None:
    # A marker that two parts of the text form around a removed one is the model's own text.
    text = [part for part in parts if part in CONTROL or part in TEXT_MARKERS or "<" not in part]
    text = [part for part in text if "begin|>" not in part or part in TEXT_MARKERS]
    content = parse_output(tokenizer, encode(tokenizer, text), TOOLS).content
    assert not any(marker in content for marker in TEXT_MARKERS)


def test_the_name_of_a_special_in_ordinary_tokens_controls_nothing(tokenizer: Tokenizer) -> None:
    for name in tokenizer.specials:
        if name not in TEXT_MARKERS:
            assert parse_output(tokenizer, tokenizer.encode(f"a{name}b"), TOOLS).content == (
                f"a{name}b"
            )


# Outputs of which the right answer is known.

texts = st.one_of(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.sampled_from(
        ["a < b", "x <|tool", "[1] ", "漢字 ", "😀", "<", "see\n\n", "</", "if (a[0] <"]
    ),
).filter(lambda text: not text.isspace())
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
spaces = st.sampled_from(["", "", " ", "\n", " \n\t"])
sections = st.lists(st.tuples(st.sampled_from(TOOLS), argument_texts), min_size=1, max_size=3)
blocks = st.lists(st.one_of(texts, sections), max_size=6)


@settings(max_examples=80)
@given(blocks=blocks, data=st.data())
@pytest.mark.parametrize("way", ["ids", "spelt", "text"])
def test_content_and_calls_in_any_mixture_come_out_as_they_went_in(
    tokenizer: Tokenizer, way: str, blocks: list[Any], data: st.DataObject
) -> None:
    parts: list[str] = []
    calls: list[ToolCall] = []
    for block in blocks:
        if isinstance(block, str):
            parts.append(block)
            continue
        begin, end = data.draw(st.sampled_from([(SECTION, SECTION_END), ("", "")]))
        if way == "spelt":
            begin, end = data.draw(st.sampled_from([(begin, end), (SINGULAR, SINGULAR_END)]))
        parts.append(begin)
        for name, arguments in block:
            calls.append(ToolCall(f"functions.{name}:{len(calls)}", name, arguments))
            space = [data.draw(spaces) for _ in range(5)]
            # Outside of a section, the space before a call is content.
            parts += [space[0] if begin else "", CALL, space[1] + calls[-1].id + space[2], ARGS]
            parts += [space[3] + arguments + space[4], END]
        parts += ["\n", end] if end else []
    content = "".join(block for block in blocks if isinstance(block, str))
    assume(not any(name in content for name in [*tokenizer.specials, *TEXT_MARKERS]))
    match way:
        case "ids":
            output = parse_output(tokenizer, encode(tokenizer, parts), TOOLS)
        case "spelt":
            output = parse_output(tokenizer, tokenizer.encode("".join(parts)), TOOLS)
        case _:
            output = parse_output_text("".join(parts), TOOLS)
    assert output == ParsedOutput(content, tuple(calls))


@settings(max_examples=100)
@given(
    content=st.text(st.characters(exclude_characters="<", codec="utf-8"), max_size=20),
    arguments=st.lists(argument_texts, max_size=3),
)
def test_parsing_a_rendered_answer_gives_the_answer_back(
    tokenizer: Tokenizer, content: str, arguments: list[str]
) -> None:
    calls = [ToolCall(f"functions.bash:{i}", "bash", text) for i, text in enumerate(arguments)]
    tool_calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
        for c in calls
    ]
    message = {"role": "assistant", "content": content, "tool_calls": tool_calls}
    encoded = encode_chat(tokenizer, [message], generation_prompt=False)
    ids = [i for i, mine in zip(encoded.token_ids, encoded.learned, strict=True) if mine]
    assert parse_output(tokenizer, ids, TOOLS) == ParsedOutput(content, tuple(calls))


@settings(max_examples=100)
@given(parts=outputs, tools=tool_sets)
def test_any_output_gives_a_well_formed_stream(
    tokenizer: Tokenizer, parts: list[str], tools: Sequence[str]
) -> None:
    events = events_of(tokenizer, [[i] for i in encode(tokenizer, parts)], tools)
    started: list[CallStart] = []
    open_call: int | None = None
    for before, event in itertools.pairwise([None, *events]):
        match event:
            case CallStart(index, call_id, name):
                assert index == len(started)
                assert name in tools
                assert call_id.startswith(f"functions.{name}:")
                started.append(event)
                open_call = index
            case CallArguments(index, text):
                assert index == open_call
                assert text
            case CallEnd(index):
                assert index == open_call
                assert isinstance(before, CallArguments)
                open_call = None
            case ContentDelta(text):
                assert text
                assert open_call is None
    assert len({start.id for start in started}) == len(started)
    assert len(join_events(events).tool_calls) == len(started) - (open_call is not None)
