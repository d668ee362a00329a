"""A format beside tools: what the model wants to write first decides between calls and content."""

import json

import pytest
from jsonschema import Draft202012Validator

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls

from ..conftest import SCHEMAS, allowed_ids, generate

TOOLS = (DeclaredTool("get_weather", SCHEMAS["weather"]),)
CONTENT = {"enum": ["<|tool_call_begin|>", 7, {"a": None}]}
DEMAND = ToolCalls(TOOLS, content=JsonContent(CONTENT))


@pytest.mark.parametrize("first", ["Sure", "<|im_end|>", "<|im_user|>", "{", "}", "7", '"<'])
def test_whatever_begins_no_call_means_content(
    enforcer: Enforcer, tokenizer: Tokenizer, first: str
) -> None:
    mask = enforcer.mask(DEMAND, max_tokens=100)
    [token_id, *_] = tokenizer.encode_markup(first)
    assert token_id in allowed_ids(mask, tokenizer)
    taken = mask.accept(token_id)
    assert taken == (first in ("{", "7", '"<'))
    assert tokenizer.special("<|tool_calls_section_begin|>") not in allowed_ids(mask, tokenizer)
    rest = generate(mask, tokenizer, 100, 1)
    text = (tokenizer.decode([token_id]) if taken else "") + tokenizer.decode(rest.ids[:-1])
    assert rest.stopped
    Draft202012Validator(CONTENT).validate(json.loads(text))


def test_the_sections_marker_means_calls_alone(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    for seed in range(4):
        mask = enforcer.mask(DEMAND, max_tokens=400)
        assert mask.accept(tokenizer.special("<|tool_calls_section_begin|>"))
        output = generate(mask, tokenizer, 400, seed)
        for arguments in output.arguments() if output.stopped else ():
            Draft202012Validator(SCHEMAS["weather"]).validate(json.loads(arguments))
        assert output.ids[0] == tokenizer.special("<|tool_call_begin|>")


def test_a_call_may_begin_without_its_section(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    mask = enforcer.mask(DEMAND, max_tokens=400)
    begin = tokenizer.special("<|tool_call_begin|>")
    assert begin in allowed_ids(mask, tokenizer)
    assert mask.accept(begin)
    output = generate(mask, tokenizer, 400, 1)
    assert output.text.startswith("functions.get_weather:0<|tool_call_argument_begin|>")


def test_inner_markers_begin_nothing(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    mask = enforcer.mask(DEMAND, max_tokens=100)
    inner = tokenizer.special("<|tool_call_argument_begin|>")
    assert inner not in allowed_ids(mask, tokenizer)
    with pytest.raises(ValueError, match="not allowed"):
        mask.accept(inner)
    assert mask.accept(tokenizer.special("<|tool_calls_section_begin|>"))


def test_the_shorter_of_both_has_to_fit(enforcer: Enforcer) -> None:
    assert enforcer.shortest(DEMAND) == 2
    long = ToolCalls(TOOLS, content=JsonContent({"const": "a long text " * 40}))
    assert enforcer.shortest(long) == enforcer.shortest(ToolCalls(TOOLS, required=True))
    with pytest.raises(GrammarError, match="shortest"):
        enforcer.mask(DEMAND, max_tokens=1)


@pytest.mark.parametrize("seed", range(6))
def test_a_forced_call_leaves_no_content(
    enforcer: Enforcer, tokenizer: Tokenizer, seed: int
) -> None:
    forced = ToolCalls(TOOLS, required=True, content=JsonContent(CONTENT))
    output = generate(enforcer.mask(forced, max_tokens=400), tokenizer, 400, seed)
    assert output.ids[0] == tokenizer.special("<|tool_calls_section_begin|>")
