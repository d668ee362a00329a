"""The shortest value: as short as can be, valid, and as long as its size says."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from openk2.grammar import GrammarError
from openk2.grammar.ending import Least
from openk2.grammar.schema import read
from openk2.grammar.shapes import Shapes

from ..conftest import SCHEMAS


def least_of(schema: Any) -> tuple[Least, int]:
    reading = read(schema)
    return Least(Shapes(reading.nodes, reading.root_node)), reading.root_node


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shortest_value_is_valid_and_has_its_size(name: str) -> None:
    least, root = least_of(SCHEMAS[name])
    text = least.text(root)
    assert len(text) == least.size(root)
    Draft202012Validator(SCHEMAS[name]).validate(json.loads(text))


CLOSED = {"additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": ["string", "null"]}, '""'),
        ({"enum": ["long", "b", 345]}, '"b"'),
        ({"enum": [None, "éé"]}, "null"),
        ({"type": "integer", "minimum": 7}, "7"),
        ({"type": "integer", "minimum": 98, "maximum": 140}, "98"),
        ({"type": "integer", "minimum": -5, "maximum": -5}, "-5"),
        ({"type": "number", "minimum": 0.25, "maximum": 0.25}, "0.25"),
        ({"type": "number", "minimum": 3, "maximum": 4, "multipleOf": 4}, "4"),
        ({"type": "string", "minLength": 3}, '"aaa"'),
        ({"type": "array", "items": {"type": "null"}, "minItems": 3}, "[null,null,null]"),
        (
            {
                "type": "array",
                "prefixItems": [{"const": "x"}, {"const": 10}],
                "items": {"type": "boolean"},
                "minItems": 4,
            },
            '["x",10,true,true]',
        ),
        ({"type": "array", "prefixItems": [{"const": "x"}], "minItems": 0}, "[]"),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "null"}, "b": True, "c": {"const": 5}},
                "required": ["c", "a"],
            },
            '{"a":null,"c":5}',
        ),
        ({"type": "object", "minProperties": 1, "additionalProperties": {"const": 1}}, '{"a":1}'),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "null"}},
                "required": ["a"],
                "minProperties": 2,
                "additionalProperties": {"const": 1},
            },
            '{"a":null,"b":1}',
        ),
        (
            {
                "type": "object",
                "patternProperties": {"^x$": {"const": 1}, "^long$": {"const": 2}},
                "minProperties": 1,
                **CLOSED,
            },
            '{"x":1}',
        ),
        (
            {
                "type": "object",
                "patternProperties": {"a": {"const": "yes"}},
                "additionalProperties": {"const": 1},
                "minProperties": 1,
            },
            '{"":1}',
        ),
    ],
)
def test_the_shortest_value(schema: Any, text: str) -> None:
    least, root = least_of(schema)
    assert least.text(root).decode() == text
    assert least.size(root) == len(text.encode())


def test_a_schema_without_values_is_an_error_and_so_is_one_whose_values_are_too_long() -> None:
    with pytest.raises(GrammarError, match="no value"):
        least_of({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})
    long = {"type": "array", "minItems": 100, "items": {"type": "string", "minLength": 2_100}}
    least, root = least_of(long)
    assert least.size(root) == 2 + 99 + 100 * 2_102
    with pytest.raises(GrammarError, match="bytes"):
        least.text(root)
