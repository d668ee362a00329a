"""Outputs of models that think: thoughts, answers and calls, however the output is cut."""

import random
from collections.abc import Sequence

import pytest

from openk2.chat import OutputParser, ParsedOutput, Tokenizer, encode_chat, join_events
from openk2.chat.events import join_neighbours
from openk2.chat.prompt_style import K2_5, K2_6, K2_7_CODE, K2_THINKING, PromptStyle, Thinking

OUTPUTS = 2_000
TOOLS = ("look", "find")
TEXTS = [
    "Hm.",
    " ",
    "\n\n",
    "漢字😀",
    "<think>",
    "</think>",
    "<|tool_call_begin|>",
    '{"a": "',
    "x y",
]
CALL = (
    "<|tool_call_begin|>", "functions.look:0", "<|tool_call_argument_begin|>",
    '{"q": "<think>"}', "<|tool_call_end|>",
)  # fmt: skip
MARKERS = [*CALL[::2], "<think>", "</think>", "<|tool_calls_section_begin|>", "<|im_end|>",
           "<|tool_calls_section_end|>", "<|im_middle|>"]  # fmt: skip


@pytest.fixture(scope="module")
def thinker(tokenizer: Tokenizer) -> Tokenizer:
    return Tokenizer(tokenizer.tokens, thinking=True)


def draw(source: random.Random, tokenizer: Tokenizer) -> list[int]:
    """Thoughts, texts that look like markers, markers and calls in any order."""
    ids: list[int] = []
    for _ in range(source.randrange(1, 10)):
        kind = source.random()
        if kind < 0.4:
            ids += tokenizer.encode(source.choice(TEXTS))
        elif kind < 0.75:
            ids.append(tokenizer.special(source.choice(MARKERS)))
        else:
            for part in CALL:
                special = part in tokenizer.specials
                ids += [tokenizer.special(part)] if special else tokenizer.encode(part)
    return ids


def read(tokenizer: Tokenizer, pieces: Sequence[Sequence[int]], begun: bool):
    parser = OutputParser(tokenizer, TOOLS, spelt_calls=False, in_reasoning=begun)
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.finish()
    return join_neighbours(events), parser


@pytest.mark.parametrize("begun", [True, False])
def test_the_cuts_of_an_output_change_nothing_and_no_text_is_lost(thinker, begun: bool) -> None:
    source = random.Random(11)
    thoughts = calls = 0
    for _ in range(OUTPUTS):
        ids = draw(source, thinker)
        whole, parser = read(thinker, [ids], begun)
        edges = sorted(source.randrange(len(ids) + 1) for _ in range(3))
        cut = [ids[a:b] for a, b in zip([0, *edges], [*edges, len(ids)], strict=True)]
        again, other = read(thinker, cut, begun)
        assert again == whole
        assert (other.counts, other.reasoning_tokens) == (parser.counts, parser.reasoning_tokens)
        found = join_events(whole)
        assert parser.reasoning_tokens >= len(thinker.encode(found.reasoning)) * 0.3
        assert parser.reasoning_tokens <= len(ids)
        # A text that spells a marker is text, wherever it stands.
        assert "<|im_middle|>" not in found.reasoning + found.content
        thoughts += bool(found.reasoning)
        calls += len(found.tool_calls)
    assert thoughts > OUTPUTS // 40
    assert calls > OUTPUTS // 4


STYLES = [K2_THINKING, K2_5, K2_6, K2_7_CODE]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("evil", ["</think>", "<|tool_calls_section_begin|>", "<|im_end|>"])
def test_a_rendered_turn_is_read_back_as_it_was(thinker, style: PromptStyle, evil: str) -> None:
    made = {"id": "functions.look:0", "function": {"name": "look", "arguments": '{"q": 1}'}}
    turn = {"role": "assistant", "reasoning_content": f"so {evil}\n", "content": f"\n\nyes {evil}",
            "tool_calls": [made]}  # fmt: skip
    asked = [{"role": "user", "content": "hi"}]
    prompt = encode_chat(thinker, asked, style=style).token_ids
    both = encode_chat(thinker, [*asked, turn], style=style, generation_prompt=False).token_ids
    # A prompt ends where the assistant's own turn goes on.
    assert both[: len(prompt)] == prompt
    events, _ = read(thinker, [both[len(prompt) :]], style.opens)
    found: ParsedOutput = join_events(events)
    assert (found.reasoning, found.content) == (f"so {evil}\n", f"\n\nyes {evil}")
    assert [call.arguments for call in found.tool_calls] == ['{"q": 1}']


@pytest.mark.parametrize("style", STYLES)
def test_no_text_in_a_thought_is_control_and_the_assistant_learns_what_it_writes(
    thinker, style: PromptStyle
) -> None:
    def control(said: str) -> list[int]:
        messages = [
            {"role": "user", "content": said},
            {"role": "assistant", "reasoning_content": said, "content": said},
        ]
        tools = [{"type": "function", "function": {"name": "look", "description": said}}]
        encoded = encode_chat(thinker, messages, tools, style=style, thinking=Thinking())
        return [i for i in encoded.token_ids if thinker.is_special(i)]

    for name in thinker.specials:
        assert control(name) == control("word"), name
    turn = {"role": "assistant", "reasoning_content": "hm", "content": "yes", "tool_calls": [
        {"id": "functions.look:0", "function": {"name": "look", "arguments": "{}"}}]}  # fmt: skip
    asked = [{"role": "user", "content": "hi"}]
    encoded = encode_chat(thinker, [*asked, turn], style=style, generation_prompt=False)
    prompt = encode_chat(thinker, asked, style=style).token_ids
    assert encoded.learned == [i >= len(prompt) for i in range(len(encoded.token_ids))]
