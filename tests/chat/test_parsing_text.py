"""The text route, for engines that hand over text, and reasoning."""

import pytest

from openk2.chat import (
    CallArguments,
    CallCounts,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputParser,
    ParsedOutput,
    ReasoningDelta,
    Tokenizer,
    ToolCall,
    parse_output,
    parse_output_text,
)
from openk2.chat.markers import named_markers
from openk2.chat.tokenizer import PUBLISHED_RANKS, special_names

SECTION, SECTION_END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL = "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>{}<|tool_call_end|>"
MADE = ToolCall("functions.bash:0", "bash", "{}")


def test_a_text_engine_needs_no_vocabulary() -> None:
    parser = OutputParser(None, ["bash"])
    events = [parser.feed_text(piece) for piece in ("Hi <", "|tool_call_b", "egin|>", "bash:2")]
    assert events == [[ContentDelta("Hi ")], [], [], []]
    assert parser.feed_text('<|tool_call_argument_begin|>{"a"') == [
        CallStart(0, "functions.bash:2", "bash"),
        CallArguments(0, '{"a"'),
    ]
    assert parser.feed_text(":1}<|tool_call_end|><|im_end|> more") == [
        CallArguments(0, ":1}"),
        CallEnd(0),
    ]
    assert parser.finish() == []
    assert parser.counts == CallCounts(completed=1, recovered=1)


def test_ids_without_a_vocabulary_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="has no tokenizer: give it one, or use feed_text"):
        OutputParser(None, ()).feed([1])


@pytest.mark.parametrize("stop", ["<|im_end|>", "[EOS]"])
def test_a_spelt_stop_token_ends_the_output(stop: str) -> None:
    assert parse_output_text(f"a {stop}b{CALL}", ["bash"]) == ParsedOutput("a ", ())


def test_every_special_that_means_nothing_is_dropped_from_text() -> None:
    for name in special_names(PUBLISHED_RANKS):
        if name not in ("<|im_end|>", "[EOS]"):
            parser = OutputParser(None, ())
            events = [event for letter in f"one {name}two" for event in parser.feed_text(letter)]
            said = "".join(event.text for event in events if isinstance(event, ContentDelta))
            assert said == ("one " if name == "<|tool_call_begin|>" else "one two"), name


def test_the_reserved_names_are_those_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    name = next(name for name in tokenizer.specials if name.startswith("<|reserved"))
    parser = OutputParser(tokenizer, ())
    assert parser.feed_text(f"a{name}b<|reserved_token_163600|>") == [
        ContentDelta("ab<|reserved_token_163600|>")
    ]


def test_a_special_in_a_json_string_is_text() -> None:
    arguments = '{"a": "<|im_end|> [EOS] <|tool_call_end|>"}'
    text = CALL.replace("{}", arguments)
    assert parse_output_text(text, ["bash"]).tool_calls[0].arguments == arguments


def test_every_name_of_a_special_is_found_by_its_shape() -> None:
    names = special_names(PUBLISHED_RANKS, thinking=True)
    for name in named_markers(names):
        assert parse_output_text(f"a{name}", (), reasoning=True).content == "a", name


# 16: reasoning


def test_an_instruct_model_does_not_reason(tokenizer: Tokenizer) -> None:
    text = "Write <think>x</think> like this."
    assert parse_output(tokenizer, tokenizer.encode(text), ()) == ParsedOutput(text, ())
    assert parse_output_text(text, ()) == ParsedOutput(text, ())


def test_a_vocabulary_with_think_tokens_reasons(tokenizer: Tokenizer) -> None:
    thinking = Tokenizer(tokenizer.tokens, thinking=True)
    assert thinking.special("<think>") - len(thinking.tokens) == 163606 - 163584
    text = f"<think> Hm.\n</think>Yes.{SECTION}{CALL}{SECTION_END}<|im_end|>"
    expected = ParsedOutput("Yes.", (MADE,), " Hm.\n")
    assert parse_output(thinking, thinking.encode_markup(text), ["bash"]) == expected
    parser = OutputParser(thinking, ["bash"])
    assert parser.feed_text("<think> Hm") == [ReasoningDelta(" Hm")]


@pytest.mark.parametrize("opener", [SECTION, "<|tool_call_section_begin|>", ""])
def test_a_section_or_call_ends_reasoning_that_was_not_closed(
    tokenizer: Tokenizer, opener: str
) -> None:
    text = f"<think>I call.{opener}{CALL}"
    expected = ParsedOutput("", (MADE,), "I call.")
    assert parse_output(tokenizer, tokenizer.encode(text), ["bash"], reasoning=True) == expected
    assert parse_output_text(text, ["bash"], reasoning=True) == expected


def test_orphan_markers_in_reasoning_go_and_it_goes_on() -> None:
    text = f"<think>a<think>b{SECTION_END}c<|tool_call_end|>d</think>\n{SECTION}{CALL}"
    assert parse_output_text(text, ["bash"], reasoning=True) == ParsedOutput("", (MADE,), "abcd")
    assert parse_output_text("a</think>b", (), reasoning=True) == ParsedOutput("ab", ())


def test_think_markers_inside_a_call_are_not_its_text() -> None:
    text = CALL.replace("bash", "<think>bash").replace("{}", '{"a": "<think>"}</think>')
    calls = parse_output_text(text, ["bash"], reasoning=True).tool_calls
    assert calls == (ToolCall("functions.bash:0", "bash", '{"a": "<think>"}'),)


def test_reasoning_that_is_cut_off_is_all_there_is() -> None:
    assert parse_output_text("<think>a <|to", (), reasoning=True) == ParsedOutput("", (), "a <|to")
