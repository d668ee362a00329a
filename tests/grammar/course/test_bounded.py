"""Outputs end properly within their tokens, and are not shortened before."""

import json
import random
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls
from openk2.grammar.course.bounded import MAX_NESTING
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher.vocabulary import TokenVocabulary

from ..conftest import SCHEMAS, generate
from ..walks import states


def closes_from_everywhere(tokenizer: Tokenizer, schema: Any, wanted: int, seed: int) -> None:
    """From random states the reserve leads to a value that the schema holds."""
    vocabulary = TokenVocabulary(tokenizer)
    grammar = ValueGrammar(vocabulary, schema)
    validator = Draft202012Validator(schema)
    for number, (value, ids) in enumerate(states(vocabulary, tokenizer, grammar, wanted, seed)):
        closing = value.closing()
        assert closing is not None, tokenizer.decode(ids)
        assert len(closing) <= value.bound(), tokenizer.decode(ids)
        if number % 5 == 0:
            whole = OpenValue(vocabulary, grammar)
            for token_id in [*ids, *closing]:
                whole.take(token_id)
            assert whole.complete
            validator.validate(json.loads(tokenizer.decode([*ids, *closing])))


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_reserve_closes_from_random_states(tokenizer: Tokenizer, name: str) -> None:
    closes_from_everywhere(tokenizer, SCHEMAS[name], wanted=150, seed=1)


def test_the_reserve_closes_from_random_states_of_the_vendors_schemas(
    tokenizer: Tokenizer, vendor_schemas: list[Any]
) -> None:
    for number, schema in enumerate(vendor_schemas):
        closes_from_everywhere(tokenizer, schema, wanted=10, seed=number)


@pytest.mark.slow
def test_the_reserve_closes_from_1000_states_of_each_of_the_vendors_schemas(
    tokenizer: Tokenizer, vendor_schemas: list[Any]
) -> None:
    for number, schema in enumerate(vendor_schemas):
        closes_from_everywhere(tokenizer, schema, wanted=1000, seed=1000 + number)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("spare", [0, 1, 5, 40])
def test_an_output_ends_within_its_tokens_and_is_valid(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str, spare: int
) -> None:
    demand = JsonContent(SCHEMAS[name])
    max_tokens = enforcer.shortest(demand) + spare
    for seed in range(4):
        mask = enforcer.mask(demand, max_tokens=max_tokens)
        output = generate(mask, tokenizer, max_tokens, seed)
        assert output.stopped, output.text
        value = json.loads(tokenizer.decode(output.ids[:-1]))
        Draft202012Validator(SCHEMAS[name]).validate(value)


@pytest.mark.parametrize("seed", range(3))
def test_the_vendors_schemas_give_valid_arguments(
    enforcer: Enforcer, tokenizer: Tokenizer, vendor_schemas: list[Any], seed: int
) -> None:
    chooser = random.Random(seed)
    for number, schema in enumerate(vendor_schemas):
        if chooser.random() < 0.6:
            continue
        demand = ToolCalls((DeclaredTool("f", schema),), required=True, parallel=False)
        mask = enforcer.mask(demand, max_tokens=150)
        output = generate(mask, tokenizer, 150, seed * 1000 + number)
        assert output.stopped, (number, output.text)
        (arguments,) = output.arguments()
        Draft202012Validator(schema).validate(json.loads(arguments))


def test_a_string_runs_to_the_last_token_but_its_end(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    word = tokenizer.encode(" the")
    assert len(word) == 1

    def on_and_on(chooser: random.Random, allowed: NDArray[np.intp]) -> int:
        return word[0] if word[0] in allowed else int(allowed[0])

    mask = enforcer.mask(JsonContent({"type": "string"}), max_tokens=50)
    output = generate(mask, tokenizer, 50, 0, on_and_on)
    # The opening quote, words, the closing quote, the stop token.
    assert len(output.ids) == 50
    assert output.ids.count(word[0]) == 47
    assert output.text.endswith(' the"<|im_end|>')


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


def test_a_refused_token_changes_nothing_but_what_may_follow(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    schema = {"type": "array", "items": {"type": "string", "minLength": 20}}
    demand = JsonContent(schema)
    mask = enforcer.mask(demand, max_tokens=6)
    assert mask.accept(tokenizer.encode("[")[0])
    assert not mask.accept(tokenizer.encode('"')[0])
    assert mask.accept(tokenizer.encode("]")[0])
    assert mask.accept(tokenizer.special("<|im_end|>"))
