"""Keywords that ask for opposites, overlaps and tuples: a mask takes what the validator accepts."""

import contextlib
import json
import time
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from openk2.chat import Tokenizer
from openk2.grammar import Enforcer, GrammarError, JsonContent

from .test_reading import accepts

OBJECTS: list[Any] = [
    {},
    {"a": 1},
    {"a": "x"},
    {"b": 2},
    {"a": 1, "b": 2},
    {"a": "x", "b": "y"},
    {"mode": "a"},
    {"mode": "b"},
    {"mode": "a", "x": ""},
    {"mode": "b", "x": ""},
    {"ab": 1},
    {"ab": "1"},
    {"x_id": "v"},
    {"x_id": 1},
    {"Name": "v"},
    {"name": "v"},
]
SCALARS: list[Any] = ["", "a", "b", "null", "nullx", "aa.md", ".md", "-+", "1.5", "x@y.z", 0, 1]
SCALARS += [2, 0.07, 9.99, 0.005, -1, 2.5, True, False, None]
ARRAYS: list[Any] = [[], [1], [1, 2], ["a"], ["a", "b"], ["b", "a"], ["a", "a"], [1, "a"]]
ARRAYS += [[1, "a", None], ["a", "b", "c"], ["c", "b", "a"], [True], [1, 2, 3]]

CASES: dict[str, tuple[Any, list[Any]]] = {
    "if": (
        {
            "properties": {"mode": {"enum": ["a", "b"]}, "x": {"type": "string"}},
            "if": {"properties": {"mode": {"const": "a"}}},
            "then": {"required": ["x"]},
        },
        OBJECTS,
    ),
    "if, else": (
        {
            "type": "object",
            "if": {"properties": {"mode": {"const": "a"}}, "required": ["mode"]},
            "else": {"required": ["a"]},
            "properties": {"mode": True, "a": True, "b": True, "x": True},
        },
        OBJECTS,
    ),
    "oneOf of required": (
        {
            "type": "object",
            "properties": {"a": True, "b": True},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        OBJECTS,
    ),
    "oneOf of overlapping numbers": ({"oneOf": [{"minimum": 1}, {"maximum": 2}]}, SCALARS),
    "dependencies": ({"type": "object", "dependencies": {"a": ["b"]}}, OBJECTS),
    "dependencies of schemas": (
        {"type": "object", "dependencies": {"a": {"required": ["b"]}}},
        OBJECTS,
    ),
    "not enum": ({"not": {"enum": ["a", 1, 2.5, None, True]}}, SCALARS),
    "not pattern": ({"type": "string", "not": {"pattern": "^[ab]"}}, SCALARS),
    "not minLength": ({"type": "string", "not": {"minLength": 5}}, SCALARS),
    "not maxLength": ({"type": "string", "not": {"maxLength": 1}}, SCALARS),
    "not minItems": ({"type": "array", "not": {"minItems": 2}}, ARRAYS),
    "not maxItems": ({"type": "array", "not": {"maxItems": 1}}, ARRAYS),
    "not minProperties": ({"type": "object", "not": {"minProperties": 1}}, OBJECTS),
    "not maxProperties": ({"type": "object", "not": {"maxProperties": 0}}, OBJECTS),
    "not minimum": ({"type": "number", "not": {"minimum": 1}}, SCALARS),
    "not maximum": ({"type": "number", "not": {"maximum": 1}}, SCALARS),
    "not exclusiveMinimum": ({"type": "number", "not": {"exclusiveMinimum": 1}}, SCALARS),
    "not exclusiveMaximum": ({"type": "number", "not": {"exclusiveMaximum": 1}}, SCALARS),
    "not of a range": ({"not": {"type": "number", "minimum": 0}}, SCALARS),
    "not not": ({"not": {"not": {"type": ["string", "null"]}}}, SCALARS),
    "not anyOf": ({"not": {"anyOf": [{"type": "string"}, {"const": 1}]}}, SCALARS),
    "not properties": ({"not": {"properties": {"a": {"type": "string"}}}}, OBJECTS),
    "look-aheads": ({"type": "string", "pattern": "^(?!undefined$|null$)"}, SCALARS),
    "a decimal": ({"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}, SCALARS),
    "cents": ({"type": "number", "multipleOf": 0.01, "maximum": 10}, [9.99, 0.5, 3, 0.005, 11]),
    "names with a pattern": (
        {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z_]+$"},
            "additionalProperties": {"type": "string"},
        },
        OBJECTS,
    ),
    "patterns that overlap": (
        {
            "type": "object",
            "patternProperties": {"a": {"type": "string"}, "b": {"minLength": 1}, "_id$": True},
            "additionalProperties": False,
        },
        OBJECTS,
    ),
    "unevaluated properties": (
        {
            "type": "object",
            "$defs": {"a": {"properties": {"a": {"type": "integer"}}}},
            "allOf": [{"$ref": "#/$defs/a"}],
            "if": {"properties": {"mode": {"const": "a"}}, "required": ["mode"]},
            "then": {"properties": {"x": True}},
            "unevaluatedProperties": False,
        },
        OBJECTS,
    ),
    "contains": ({"type": "array", "contains": {"type": "string"}}, ARRAYS),
    "contains, counted": (
        {"type": "array", "contains": {"type": "string"}, "minContains": 2, "maxContains": 2},
        ARRAYS,
    ),
    "contains at most": (
        {"contains": {"const": 1}, "minContains": 0, "maxContains": 1, "maxItems": 2},
        [*ARRAYS, *SCALARS],
    ),
    "not items": ({"type": "array", "not": {"items": {"type": "string"}}}, ARRAYS),
    "unevaluated beside not": (
        {
            "type": "object",
            "not": {"not": {"properties": {"a": True}}},
            "unevaluatedProperties": False,
        },
        OBJECTS,
    ),
    "unevaluated items": (
        {
            "type": "array",
            "allOf": [{"prefixItems": [{"type": "integer"}]}],
            "unevaluatedItems": {"type": "string"},
        },
        ARRAYS,
    ),
    "a set": ({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True}, ARRAYS),
    "a bounded set": (
        {
            "type": "array",
            "items": {"enum": ["a", "b", "c"]},
            "uniqueItems": True,
            "minItems": 1,
            "maxItems": 2,
        },
        ARRAYS,
    ),
}
TUPLES: dict[str, Any] = {
    "open": {"items": [{"type": "integer"}, {"type": "string"}]},
    "closed": {"items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False},
    "with others": {"items": [{"type": "integer"}], "additionalItems": {"type": "string"}},
    "without effect": {"items": {"type": "integer"}, "additionalItems": False},
}


def taken(enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, values: list[Any]) -> list[Any]:
    texts = [json.dumps(value, ensure_ascii=False) for value in values]
    return [
        v for v, t in zip(values, texts, strict=True) if accepts(enforcer, tokenizer, schema, t)
    ]


@pytest.mark.parametrize("name", CASES)
def test_a_mask_takes_what_the_validator_accepts(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str
) -> None:
    schema, values = CASES[name]
    validator = (Draft7Validator if "dependencies" in schema else Draft202012Validator)(schema)
    valid = [value for value in values if validator.is_valid(value)]
    assert taken(enforcer, tokenizer, schema, values) == valid


@pytest.mark.parametrize("name", TUPLES)
def test_tuples_of_earlier_drafts_are_obeyed(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str
) -> None:
    schema = {"type": "array", **TUPLES[name]}
    valid = [value for value in ARRAYS if Draft7Validator(schema).is_valid(value)]
    assert taken(enforcer, tokenizer, schema, ARRAYS) == valid


def test_dates_are_those_of_the_calendar(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    schema = {"type": "string", "format": "date"}
    dates = ["2024-02-29", "2000-02-29", "1900-02-29", "2023-02-29", "2023-04-31", "2023-12-31"]
    dates += ["0000-01-01", "0001-01-01", "2023-13-01", "2023-01-32", "0400-02-29", "0000-02-29"]
    right = ["2024-02-29", "2000-02-29", "2023-12-31", "0001-01-01", "0400-02-29"]
    assert taken(enforcer, tokenizer, schema, dates) == right


def test_an_anchor_in_data_is_data(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    data = {"$anchor": "x", "type": "null"}
    schema = {
        "$defs": {
            "z": {"const": data, "default": data, "enum": [data], "examples": [data]},
            "default": {"$anchor": "x", "type": "string"},
        },
        "$ref": "#x",
    }
    assert taken(enforcer, tokenizer, schema, ["", None]) == [""]


def test_a_member_that_needs_itself_is_left_out(enforcer: Enforcer, tokenizer: Tokenizer) -> None:
    endless = {"type": "object", "properties": {"n": {"$ref": "#/$defs/x"}}, "required": ["n"]}
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/x"}, "a": {"type": "null"}},
        "patternProperties": {"^y": {"$ref": "#/$defs/x"}},
        "$defs": {"x": endless},
    }
    values = [{}, {"a": None}, {"node": {}}, {"y": 1}, {"z": 1}]
    assert taken(enforcer, tokenizer, schema, values) == [{}, {"a": None}, {"z": 1}]


_MANY = [f"p{number}" for number in range(1_000)]
HOSTILE: dict[str, Any] = {
    "names": {"type": "object", "required": [f"a{i}" for i in range(30_000)]},
    "a large step": {"type": "integer", "multipleOf": 1_073_741_824},
    "a long constant": {"const": list(range(3_000))},
    "named keys": {"propertyNames": {"enum": [f"k{i}" for i in range(3_000)]}, "type": "object"},
    "names beside patterns": {
        "type": "object",
        "properties": dict.fromkeys(_MANY, True),
        "patternProperties": {f"^x{i}": True for i in range(300)},
    },
    "an enum beside patterns": {
        "enum": [f"v{i}" for i in range(10_000)],
        "allOf": [{"pattern": f"v|{i}"} for i in range(50)],
    },
    "long tuples": {"type": "array", "prefixItems": [{"type": "null"}] * 3_900},
    "patterns that overlap": {
        "type": "object",
        "patternProperties": {f"[{chr(97 + i)}-z]": True for i in range(20)},
    },
    "definitions in reverse": {
        "$ref": "#/$defs/d2999",
        "$defs": {"d0": {"type": "null"}}
        | {
            f"d{i}": {"type": "array", "items": {"$ref": f"#/$defs/d{i - 1}"}}
            for i in range(1, 3_000)
        },
    },
    "deep not": {
        "allOf": [{"not": {"anyOf": [{"minimum": i}, {"maxLength": i}]}} for i in range(9)]
    },
    "optional names": {"type": "object", "properties": {name: {"type": "null"} for name in _MANY}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_large_schema_takes_bounded_work(enforcer: Enforcer, name: str) -> None:
    started = time.process_time()
    with contextlib.suppress(GrammarError):
        assert enforcer.shortest(JsonContent(HOSTILE[name])) > 0
    assert time.process_time() - started < 2


def test_a_thousand_optional_properties_can_be_written(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    value = dict.fromkeys(_MANY[::250])
    assert taken(enforcer, tokenizer, HOSTILE["optional names"], [value]) == [value]


def test_branches_of_a_one_of_that_exclude_each_other_are_not_denied_too(
    enforcer: Enforcer, tokenizer: Tokenizer
) -> None:
    names = ("a", "b", "c", "d")

    def branch(kind: Any) -> dict[str, Any]:
        members = {name: {"type": "string"} for name in names}
        return {"properties": {"kind": kind, **members}, "required": ["kind"]}

    # Of ten branches the last two have a value in common. Denying all nine others: a million ways.
    kinds = [{"const": number} for number in range(8)] + [{"enum": [8, 9]}, {"enum": [9, 10]}]
    schema = {"type": "object", "oneOf": [branch(kind) for kind in kinds]}
    validator = Draft202012Validator(schema)
    for kind in range(12):
        for value in ({"kind": kind}, {"kind": kind, "a": "x", "d": "y"}, {"kind": kind, "b": 1}):
            taken = accepts(enforcer, tokenizer, schema, json.dumps(value))
            assert taken == validator.is_valid(value)
