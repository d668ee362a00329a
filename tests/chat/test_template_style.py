"""Prompts of the thinking models: which style a template has, and equality with it."""

import hashlib
import json
from pathlib import Path

import pytest

from openk2.chat import CHAT_TEMPLATE, CheckpointTemplate, Tokenizer, style_of
from openk2.chat.prompt_style import INSTRUCT, PromptStyle, Thinking
from openk2.chat.rendering import render
from openk2.chat.template_style import choices, variables
from thinking_templates import STYLES, Histories, own_template, published_template

HISTORIES = 1_000
RECORDED = json.loads((Path(__file__).parent / "thinking_prompts.json").read_text("utf-8"))
models = pytest.mark.parametrize("model", STYLES)


def prompt(messages, tools, style: PromptStyle, thinking: Thinking) -> str:
    pieces = render(messages, tools, style=style, thinking=thinking)
    return "".join(piece.text for piece in pieces)


def compare(template: CheckpointTemplate, style: PromptStyle, count: int) -> str:
    """The digest of so many random prompts, each equal to the template's."""
    histories, digest = Histories(16), hashlib.sha256()
    named = 0
    for number in range(count):
        messages, tools = histories.history(), histories.tools()
        thinking = choices(style)[number % len(choices(style))]
        given = variables(tools, style, thinking)
        expected = template.render(messages, True, **given)
        assert prompt(messages, tools, style, thinking) == expected
        digest.update(expected.encode())
        named += "namespace functions {" in expected
    # Both forms of the declaration have been compared.
    assert 0 < named < count * 0.6 if style.tools == "namespaces" else not named
    return digest.hexdigest()


@models
def test_random_prompts_are_those_of_the_template_in_our_own_words(tokenizer, model) -> None:
    style = STYLES[model]
    template = CheckpointTemplate(own_template(style), {}, tokenizer)
    assert style_of(template) == style
    assert compare(template, style, HISTORIES) == RECORDED["digests"][model]


@models
def test_random_prompts_are_those_of_the_published_template(tokenizer, model) -> None:
    template = published_template(model, tokenizer)
    assert style_of(template) == STYLES[model]
    assert compare(template, STYLES[model], HISTORIES) == RECORDED["digests"][model]


@pytest.mark.parametrize("case", RECORDED["prompts"], ids=lambda case: case["claim"])
def test_recorded_prompts(case) -> None:
    for model, expected in case["prompts"].items():
        thinking = Thinking(**case.get("thinking", {}))
        found = prompt(case["messages"], case.get("tools"), STYLES[model], thinking)
        assert found == expected, model


def test_a_template_that_differs_anywhere_has_no_style(tokenizer: Tokenizer) -> None:
    for model, style in STYLES.items():
        text = own_template(style)
        for old, new in [("## Return of ", "## Result of "), ('"<think>"', '"<think>\\n"'),
                         ("<|tool_call_end|>", "<|tool_call_end|>\\n")]:  # fmt: skip
            changed = text.replace(old, new)
            assert changed != text
            assert style_of(CheckpointTemplate(changed, {}, tokenizer)) is None, (model, old)
    refusing = "{{ raise_exception('no') }}<think>"
    assert style_of(CheckpointTemplate(refusing, {}, tokenizer)) is None
    assert style_of(CheckpointTemplate(CHAT_TEMPLATE, {}, tokenizer)) is None


def test_null_thoughts_are_no_thought(tokenizer: Tokenizer) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "reasoning_content": None, "reasoning": None, "tool_calls": [call]}
    for style in STYLES.values():
        text = prompt([{"role": "user", "content": "hi"}, turn], None, style, Thinking())
        assert "<think></think><|tool_calls_section_begin|>" in text
    asked = [{"role": "user", "content": "hi"}, {**turn, "reasoning_content": "kept"}]
    assert "kept" not in prompt(asked, None, INSTRUCT, Thinking())
