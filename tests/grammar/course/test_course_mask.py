"""Outputs are valid when they finish, stop where they are at the limit, and are not too deep."""

import json
import random
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls
from openk2.grammar.course.course_mask import MAX_NESTING

from ..conftest import SCHEMAS, generate


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_output_that_finishes_is_valid(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str
) -> None:
    finished = 0
    for seed in range(12):
        mask = enforcer.mask(JsonContent(SCHEMAS[name]), max_tokens=300)
        output = generate(mask, tokenizer, 300, seed)
        if output.stopped:
            finished += 1
            value = json.loads(tokenizer.decode(output.ids[:-1]))
            Draft202012Validator(SCHEMAS[name]).validate(value)
    assert finished


@pytest.mark.parametrize("seed", range(3))
def test_the_vendors_schemas_give_valid_arguments(
    enforcer: Enforcer, tokenizer: Tokenizer, vendor_schemas: list[Any], seed: int
) -> None:
    chooser, finished = random.Random(seed), 0
    for number, schema in enumerate(vendor_schemas):
        if chooser.random() < 0.6:
            continue
        demand = ToolCalls((DeclaredTool("f", schema),), required=True, parallel=False)
        try:
            mask = enforcer.mask(demand, max_tokens=200)
        except GrammarError:
            continue  # no object satisfies it, and arguments are one
        output = generate(mask, tokenizer, 200, seed * 1000 + number)
        if output.stopped:
            finished += 1
            (arguments,) = output.arguments()
            Draft202012Validator(schema).validate(json.loads(arguments))
    assert finished > 10


def test_the_limit_changes_nothing_in_what_comes_before_it(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    demand = JsonContent(SCHEMAS["tree"])
    for seed in range(6):
        roomy = generate(enforcer.mask(demand, max_tokens=400), tokenizer, 400, seed)
        for limit in (20, 40):
            cut = generate(enforcer.mask(demand, max_tokens=limit), tokenizer, limit, seed)
            assert cut.ids == roomy.ids[:limit]


def test_a_call_that_cannot_fit_is_begun_all_the_same_where_calls_are_optional(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    mask = enforcer.mask(ToolCalls((DeclaredTool("f", SCHEMAS["long"]),)), max_tokens=3)
    assert mask.accept(tokenizer.special("<|tool_calls_section_begin|>"))


@pytest.mark.parametrize("kind", ["lists", "records"])
def test_what_nests_for_ever_ends_before_it_is_too_deep_to_be_read(
    enforcer: Enforcer, tokenizer: Tokenizer, kind: str
) -> None:
    link = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    records = {"anyOf": [link, {"type": "null"}]}
    lists = {"type": "array", "items": {"$ref": "#"}}
    schema = lists if kind == "lists" else records
    deeper = [tokenizer.encode(mark)[0] for mark in "[{"]

    def ever_deeper(chooser: random.Random, allowed: NDArray[np.intp]) -> int:
        return next((mark for mark in deeper if mark in allowed), int(allowed[-1]))

    demand = ToolCalls((DeclaredTool("f", schema),), required=True, parallel=False)
    mask = enforcer.mask(demand, max_tokens=4000)
    output = generate(mask, tokenizer, 4000, 0, ever_deeper)
    assert output.stopped
    (arguments,) = output.arguments()
    Draft202012Validator(schema).validate(json.loads(arguments))
    assert arguments.count("[" if kind == "lists" else "{") == MAX_NESTING


def test_what_does_not_fit_is_refused_with_the_number_that_would(
    enforcer: Enforcer,
) -> None:
    demand = JsonContent(SCHEMAS["long"])
    shortest = enforcer.shortest(demand)
    enforcer.mask(demand, max_tokens=shortest)
    with pytest.raises(GrammarError, match=str(shortest)) as caught:
        enforcer.mask(demand, max_tokens=shortest - 1)
    assert caught.value.shortest == shortest
