"""What a tool section may say, mode by mode."""

import json
import random
import re

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, ToolCalls

from ..conftest import SCHEMAS, Choose, allowed_ids, generate, uniformly

WEATHER = DeclaredTool("get_weather", SCHEMAS["weather"])
TOOLS = (WEATHER, DeclaredTool("get", None), DeclaredTool("maps.find:x-y", SCHEMAS["both"]))
_SECTION = re.compile(
    r"<\|tool_calls_section_begin\|>"
    r"(<\|tool_call_begin\|>functions\.[^<]+:\d+<\|tool_call_argument_begin\|>.+?<\|tool_call_end\|>)+"
    r"<\|tool_calls_section_end\|>(<\|im_end\|>|\[EOS\])",
    re.DOTALL,
)


def prefer(*ids: int) -> Choose:
    """Chooses one of these ids whenever it is allowed, half of the time."""

    def choose(chooser: random.Random, allowed: NDArray[np.intp]) -> int:
        wanted = [token_id for token_id in ids if token_id in allowed]
        return wanted[0] if wanted and chooser.random() < 0.5 else uniformly(chooser, allowed)

    return choose


@pytest.mark.parametrize("seed", range(12))
def test_required_is_a_whole_section_with_valid_arguments(
    enforcer: Enforcer, tokenizer: Tokenizer, seed: int
) -> None:
    demand = ToolCalls(TOOLS, required=True)
    another = prefer(tokenizer.special("<|tool_call_begin|>"))
    output = generate(enforcer.mask(demand, max_tokens=900), tokenizer, 900, seed, another)
    if not output.stopped:
        pytest.skip("random text ran into the limit")
    assert _SECTION.fullmatch(output.text)
    names = re.findall(r"begin\|>functions\.(.+?):\d+<\|tool_call_arg", output.text)
    by_name = {tool.name: tool.schema for tool in TOOLS}
    for name, arguments in zip(names, output.arguments(), strict=True):
        Draft202012Validator(by_name[name]).validate(json.loads(arguments))


def test_ids_count_on_from_the_conversation(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    demand = ToolCalls(TOOLS, required=True)
    choose = prefer(tokenizer.special("<|tool_call_begin|>"))
    numbers: list[str] = []
    for seed in range(4):
        mask = enforcer.mask(demand, max_tokens=800, first_number=9)
        text = generate(mask, tokenizer, 800, seed, choose).text
        numbers = max(numbers, re.findall(r":(\d+)<\|tool_call_arg", text), key=len)
    assert len(numbers) > 2
    assert numbers == [str(9 + index) for index in range(len(numbers))]


def test_a_named_tool_is_called_once(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    demand = ToolCalls((WEATHER,), required=True, parallel=False)
    choose = prefer(tokenizer.special("<|tool_call_begin|>"))
    for seed in range(5):
        text = generate(enforcer.mask(demand, max_tokens=200), tokenizer, 200, seed, choose).text
        assert text.count("<|tool_call_begin|>functions.get_weather:0<") == 1
        assert text.count("<|tool_call_begin|>") == 1


def test_the_end_is_masked_inside_a_call_and_allowed_behind_the_section(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    mask = enforcer.mask(ToolCalls((WEATHER,), required=True), max_tokens=200)
    arguments = '{"city":"Paris"}'
    markers = [
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>",
        *tokenizer.encode("functions.get_weather:0"),
        "<|tool_call_argument_begin|>",
        *tokenizer.encode(arguments),
        "<|tool_call_end|>",
        "<|tool_calls_section_end|>",
    ]
    for marker in markers:
        allowed = allowed_ids(mask, tokenizer)
        assert not tokenizer.stop_ids & set(allowed)
        assert mask.accept(marker if isinstance(marker, int) else tokenizer.special(marker))
    assert set(allowed_ids(mask, tokenizer)) == tokenizer.stop_ids


def test_arguments_hold_no_special_token(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    mask = enforcer.mask(ToolCalls((DeclaredTool("f", None),), required=True), max_tokens=500)
    begin, end = map(tokenizer.special, ("<|tool_call_argument_begin|>", "<|tool_call_end|>"))
    inside = False
    chooser = random.Random(4)
    for _ in range(150):
        allowed = allowed_ids(mask, tokenizer)
        if inside and len(allowed) > 1:
            specials = {token_id for token_id in allowed if tokenizer.is_special(token_id)}
            assert specials <= {end}
        ordinary = [i for i in allowed if not tokenizer.is_special(i)] or allowed
        chosen = ordinary[chooser.randrange(len(ordinary))]
        mask.accept(chosen)
        inside = (inside or chosen == begin) and chosen != end


def test_auto_is_free_but_for_markers_without_a_section(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    mask = enforcer.mask(ToolCalls(TOOLS), max_tokens=100)
    forbidden = set(range(tokenizer.vocab_size)) - set(allowed_ids(mask, tokenizer))
    names = ("calls_section_end", "call_argument_begin", "call_end")
    assert forbidden == {tokenizer.special(f"<|tool_{name}|>") for name in names}
    for token_id in tokenizer.encode("Let me look. "):
        assert mask.accept(token_id)
    assert mask.accept(tokenizer.special("<|tool_calls_section_begin|>"))
    assert allowed_ids(mask, tokenizer) == [tokenizer.special("<|tool_call_begin|>")]


@pytest.mark.parametrize("parallel", [True, False])
def test_a_call_without_a_section_is_masked_and_may_end_the_turn(
    enforcer: Enforcer, tokenizer: Tokenizer, parallel: bool
) -> None:
    mask = enforcer.mask(ToolCalls((WEATHER,), parallel=parallel), max_tokens=100)
    names = ("tool_call_begin", "tool_calls_section_end", "tool_call_end")
    begin, section_end, end = (tokenizer.special(f"<|{name}|>") for name in names)
    for token_id in [*tokenizer.encode("I will. "), begin]:
        assert mask.accept(token_id)
    assert tokenizer.decode(allowed_ids(mask, tokenizer)[:1]).startswith("f")
    for token_id in [
        *tokenizer.encode("functions.get_weather:0"),
        tokenizer.special("<|tool_call_argument_begin|>"),
        *tokenizer.encode('{"city":"Paris"}'),
    ]:
        assert not tokenizer.stop_ids & set(allowed_ids(mask, tokenizer))
        assert mask.accept(token_id)
    assert mask.accept(end)
    # K2 may write the section's end all the same; nothing would be gained by forbidding it.
    another = {begin} if parallel else set()
    assert set(allowed_ids(mask, tokenizer)) == {section_end, *tokenizer.stop_ids} | another
    assert mask.accept(section_end)
    assert set(allowed_ids(mask, tokenizer)) == tokenizer.stop_ids


def test_a_required_section_is_offered_its_own_marker_only(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    mask = enforcer.mask(ToolCalls((WEATHER,), required=True), max_tokens=100)
    assert allowed_ids(mask, tokenizer) == [tokenizer.special("<|tool_calls_section_begin|>")]


def test_a_token_that_was_not_allowed_is_an_error(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    mask = enforcer.mask(ToolCalls((WEATHER,), required=True), max_tokens=100)
    with pytest.raises(ValueError, match="not allowed"):
        mask.accept(tokenizer.special("<|im_end|>"))


def test_tools_are_told_apart_by_name(enforcer: Enforcer) -> None:
    with pytest.raises(GrammarError, match="declared twice"):
        enforcer.mask(ToolCalls((WEATHER, WEATHER)), max_tokens=100)
    with pytest.raises(GrammarError, match="no tool"):
        enforcer.mask(ToolCalls(()), max_tokens=100)
