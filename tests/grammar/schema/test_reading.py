"""What a schema admits: never more than it says, and what cannot be enforced is named."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openk2.chat import Tokenizer
from openk2.grammar import DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls
from openk2.grammar.schema import read

from ..conftest import SCHEMAS


def accepts(enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, text: str) -> bool:
    """Whether a mask leads through this text to the end."""
    mask = enforcer.mask(JsonContent(schema), max_tokens=100_000)
    try:
        for byte in text.encode():
            mask.accept(tokenizer.tokens.index(bytes([byte])))
        return mask.accept(tokenizer.special("<|im_end|>"))
    except ValueError:
        return False


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-200, 200),
    st.sampled_from([0.5, 3.25, -2.0, 1e-9, 2.0]),
    st.sampled_from(["", "ab", "a\nb", "circle", "square", "12345x", "celsius", "é", '"\\']),
)
_NAMES = ["a", "b", "city", "unit", "kind", "radius", "side", "value", "children", "x_known", "n1"]
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(_NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=_VALUES)
def test_nothing_is_accepted_that_the_schema_refuses(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str, value: Any
) -> None:
    text = json.dumps(value, ensure_ascii=False)
    if accepts(enforcer, tokenizer, SCHEMAS[name], text):
        Draft202012Validator(SCHEMAS[name]).validate(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weather", {"city": "Paris", "unit": "celsius", "days": 14}),
        ("weather", {"city": ""}),
        ("anything", {"a": [1, {"b": None}], "c": -2.5}),
        ("tree", {"value": None, "children": [{"value": "x", "children": []}]}),
        ("branches", {"kind": "square", "side": 1.5}),
        ("both", {"a": 7, "b": False}),
        ("pattern", ["ab", "cddddddddd", "123x"]),
        ("keys", {"x_known": None, "x_other": True, "n12": 4, "free": "text"}),
        ("dependent", {"card": "1", "address": "2"}),
        ("dependent", {"address": "2"}),
        ("numbers", [0.25, 105, -2]),
        ("numbers", [1, 700, 3.25]),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_valid_values_are_accepted_compact_and_spaced(
    enforcer: Enforcer, tokenizer: Tokenizer, name: str, value: Any, separators: tuple[str, str]
) -> None:
    text = json.dumps(value, separators=separators)
    assert accepts(enforcer, tokenizer, SCHEMAS[name], text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "number"}, "1" * 41),
        ({"type": "object"}, '{"a":  1}'),
        ({"type": "object"}, '{"a":1}\n'),
        ({"properties": {"a": {"type": "null"}}, "type": "object"}, r'{"\u0061":1}'),
        ({"properties": {"a": {"type": "null"}}, "type": "object"}, '{"a":null,"a":1}'),
        (
            {"properties": {"a": True}, "allOf": [{"additionalProperties": {"type": "string"}}]},
            '{"a":1}',
        ),
    ],
)
def test_traps_are_closed(enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, text: str) -> None:
    assert not accepts(enforcer, tokenizer, schema, text)


@pytest.mark.parametrize(
    ("schema", "pointer", "keyword"),
    [
        (
            {"properties": {"a": {"type": "array", "uniqueItems": True}}},
            "#/properties/a",
            "uniqueItems",
        ),
        ({"type": "array", "contains": {}, "minContains": 9}, "#", "minContains"),
        ({"if": {"multipleOf": 2}, "then": {"maximum": 2}}, "#/if", "multipleOf"),
        ({"not": {"additionalProperties": False}}, "#/not", "additionalProperties"),
        ({"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}, "#", "oneOf"),
        ({"type": "number", "multipleOf": 1e-12}, "#", "multipleOf"),
        ({"type": "integer", "multipleOf": 2**30}, "#", "multipleOf"),
        ({"type": "integer", "exclusiveMinimum": 10**400}, "#", "exclusiveMinimum"),
        ({"type": "string", "pattern": "(?<=a)b"}, "#", "pattern"),
        ({"enum": ["ok", "cut \ud83d"]}, "#", "enum"),
        ({"const": {"\ud83d": 1}}, "#", "const"),
        ({"required": [f"a{i}" for i in range(40_000)]}, "#", "required"),
        ({"$ref": "https://example.com/schema"}, "#", "$ref"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "#/$defs/a", "$ref"),
        ({"type": "text"}, "#", "type"),
        ({"type": "string", "minLength": "3"}, "#", "minLength"),
        ({"type": "object", "minProperties": 3}, "#", "minProperties"),
        ({"minItems": 10**9, "type": "array"}, "#", "minItems"),
        ({"type": "integer", "minimum": 10**41}, "#", "minimum"),
    ],
)
def test_what_cannot_be_enforced_is_named(
    enforcer: Enforcer, schema: Any, pointer: str, keyword: str | None
) -> None:
    with pytest.raises(GrammarError) as caught:
        enforcer.shortest(ToolCalls((DeclaredTool("look", schema),), required=True))
    assert (caught.value.tool, caught.value.pointer) == ("look", pointer)
    assert caught.value.keyword == keyword
    assert "look" in str(caught.value)
    assert keyword is None or keyword in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"title": "T", "description": "d", "default": 3, "examples": [1], "x-mine": {"a": 1}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"type": "string", "format": "made-up", "deprecated": True, "contentEncoding": "base64"},
        {"type": "array", "uniqueItems": True, "maxItems": 1},
        {"type": "object", "propertyNames": {"type": "string"}},
    ],
)
def test_what_says_nothing_is_accepted(enforcer: Enforcer, schema: Any) -> None:
    assert enforcer.shortest(JsonContent(schema)) > 0


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"allOf": [{"type": "null"}, {"type": "string"}]},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {
            "$ref": "#/$defs/a",
            "$defs": {
                "a": {
                    "type": "object",
                    "properties": {"a": {"$ref": "#/$defs/a"}},
                    "required": ["a"],
                }
            },
        },
    ],
)
def test_a_schema_of_no_value_is_an_error(enforcer: Enforcer, schema: Any) -> None:
    with pytest.raises(GrammarError, match="no value"):
        enforcer.shortest(JsonContent(schema))


@pytest.mark.parametrize("kind", ["values", "names"])
def test_texts_times_patterns_are_work_that_has_a_bound(kind: str) -> None:
    def schema(texts: int, patterns: int) -> Any:
        listed = [f"x{number}" for number in range(texts)]
        looks = [f"^x.{{1,{9 + number}}}$" for number in range(patterns)]
        if kind == "values":
            return {"enum": listed, "allOf": [{"type": "string", "pattern": one} for one in looks]}
        return {
            "type": "object",
            "properties": {name: {"type": "integer"} for name in listed},
            "patternProperties": {one: {"type": "integer"} for one in looks},
        }

    read(schema(100, 2))
    with pytest.raises(GrammarError, match="too much"):
        read(schema(3_500, 20))
