"""A string that breaks off does not swallow the next call; one that quotes a marker is whole."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.chat import OutputParser, ParsedOutput, Tokenizer, join_events, parse_output_text

TOOLS = ["note", "send"]
SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
BEGIN, ARGUMENTS, END = (
    *("<|tool_call_begin|>", "<|tool_call_argument_begin|>"),
    "<|tool_call_end|>",
)


def call(name: str, number: int, arguments: str, end: str = END) -> str:
    return f"{BEGIN}functions.{name}:{number}{ARGUMENTS}{arguments}{end}"


def found(text: str) -> list[tuple[str, str]]:
    return [(one.name, one.arguments) for one in parse_output_text(text, TOOLS).tool_calls]


def in_pieces(text: str, size: int) -> ParsedOutput:
    parser = OutputParser(None, TOOLS)
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return join_events([e for piece in pieces for e in parser.feed_text(piece)] + parser.finish())


NEXT = '{"to": "Ada", "n": 2}'
CUT = '{"text": "Dear A'


@pytest.mark.parametrize("cut", [CUT, CUT + "\\", '{"te', '{"a": "x", "b": "'])
@pytest.mark.parametrize("end", [END, "", END + "\n", END + SECTION_END + SECTION])
@pytest.mark.parametrize("following", [NEXT, "{}", '{"": 1}', '{ "a": {"b": "c"}}'])
def test_the_call_after_a_broken_string_is_read(cut: str, end: str, following: str) -> None:
    text = SECTION + call("note", 0, cut, end) + call("send", 1, following) + SECTION_END
    whole = parse_output_text(text, TOOLS)
    assert [(c.name, c.arguments) for c in whole.tool_calls] == [("note", cut), ("send", following)]
    for size in (1, 7, 40):
        assert in_pieces(text, size) == whole


def test_markers_that_are_spelt_among_ids_are_read_alike() -> None:
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    text = SECTION + call("note", 0, CUT) + call("send", 1, NEXT) + SECTION_END
    parser = OutputParser(tokenizer, TOOLS)
    events = [event for i in tokenizer.encode(text) for event in parser.feed([i])]
    assert join_events(events + parser.finish()) == parse_output_text(text, TOOLS)


@pytest.mark.parametrize(
    "quoted",
    [
        END,
        f"a page: {SECTION}{call('send', 1, NEXT)}{SECTION_END} and more",
        f"{END}{SECTION_END}<|im_end|>",
        f"{BEGIN}x{ARGUMENTS}{{}}{END}",
        f'"{END}"',
    ],
)
@pytest.mark.parametrize("shape", ["value", "key", "list", "nested"])
def test_a_string_that_quotes_markers_is_whole(quoted: str, shape: str) -> None:
    values = {"value": {"a": quoted}, "key": {quoted: quoted, "b": 1}, "list": {"a": [quoted] * 3}}
    value = values.get(shape, {"a": json.dumps(values["list"])})
    for arguments in (json.dumps(value), json.dumps(value, indent=1)):
        text = SECTION + call("note", 0, arguments) + call("send", 1, NEXT) + SECTION_END
        assert found(text) == [("note", arguments), ("send", NEXT)]
        assert in_pieces(text, 3) == parse_output_text(text, TOOLS)


def test_a_string_that_quotes_a_marker_and_is_cut_by_the_limit_is_no_call() -> None:
    output = parse_output_text(call("note", 0, f'{{"a": "see {END} in the docs', ""), TOOLS)
    assert output.tool_calls == ()
    assert output.cut_call is not None
    assert output.cut_call.arguments == f'{{"a": "see {END} in the docs'


def test_what_ends_the_turn_in_a_broken_string_ends_it() -> None:
    output = parse_output_text(call("note", 0, CUT, "<|im_end|>"), TOOLS)
    assert output.tool_calls == ()
    assert output.cut_call is not None
    assert output.cut_call.arguments == CUT


PARTS = st.sampled_from(
    [
        *(BEGIN, ARGUMENTS, END, SECTION, SECTION_END, "<|im_end|>", "functions.note:0", '{"'),
        *('": "', '"}', '"', "\\", "a", " ", ",", "}", "<|tool_call", "<"),
    ]
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(parts=st.lists(PARTS, max_size=40), size=st.integers(1, 30))
def test_however_it_is_cut_it_says_the_same(parts: list[str], size: int) -> None:
    text = BEGIN + "functions.note:0" + ARGUMENTS + "".join(parts)
    assert in_pieces(text, size) == parse_output_text(text, TOOLS)
