"""Types, values, strings and numbers: what is left is what the validator accepts, to the bound."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from openk2.grammar import GrammarError
from openk2.grammar.schema.formats import format_pattern
from openk2.grammar.schema.keywords import Subschema
from openk2.grammar.schema.numbers import MAX_INTEGER, MAX_STEPPED, number_shapes
from openk2.grammar.schema.scalars import (
    admits_scalar,
    bounds,
    common_types,
    common_values,
    text_shapes,
    writable,
)

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
EDGES = [-3, -2.5, -1, 0, 0.5, 1, 2, 2.5]


def subschemas(*schemas: Any) -> list[Subschema]:
    return [Subschema(f"#/allOf/{index}", schema) for index, schema in enumerate(schemas)]


def check_numbers(schemas: list[dict[str, Any]], integer: bool) -> None:
    shapes = number_shapes(subschemas(*schemas), integer)
    validator = Draft202012Validator({"type": "integer" if integer else "number", "allOf": schemas})
    for value in [step / 4 for step in range(-14, 13)] + list(range(-4, 4)):
        assert admits_scalar(shapes, value) == validator.is_valid(value), (schemas, value)
    assert not admits_scalar(shapes, True)
    assert not admits_scalar(shapes, "1")


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("keyword", BOUNDS)
def test_a_number_is_in_the_shape_of_one_bound_if_and_only_if_it_is_valid(
    keyword: str, integer: bool
) -> None:
    for edge in EDGES:
        check_numbers([{keyword: edge}], integer)
        check_numbers([{keyword: edge, "multipleOf": 0.5}], integer)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(BOUNDS), st.sampled_from(EDGES), max_size=3),
        min_size=1,
        max_size=2,
    ),
    st.sampled_from([None, 1, 2, 0.5, 1.5, 3]),
    st.booleans(),
)
def test_a_number_is_in_the_shape_of_several_bounds_if_and_only_if_it_is_valid(
    schemas: list[dict[str, Any]], multiple: float | None, integer: bool
) -> None:
    check_numbers(schemas if multiple is None else [*schemas, {"multipleOf": multiple}], integer)


@pytest.mark.parametrize("integer", [False, True])
def test_a_number_has_the_bounds_of_its_schema_and_no_others(integer: bool) -> None:
    for schema, low, high in (
        ({}, -math.inf, math.inf),
        ({"minimum": 3}, 3, math.inf),
        ({"maximum": 10**25}, -math.inf, 10**25),
        ({"minimum": -(10**17), "maximum": 10**17}, -(10**17), 10**17),
    ):
        [shape] = number_shapes(subschemas(schema), integer)
        assert (shape.low, shape.high) == (low, high)


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize(
    ("keyword", "sign"),
    [("minimum", 1), ("exclusiveMinimum", 1), ("maximum", -1), ("exclusiveMaximum", -1)],
)
def test_a_bound_that_leaves_only_longer_numbers_than_are_written_is_refused(
    keyword: str, sign: int, integer: bool
) -> None:
    for beside, limit in (({}, MAX_INTEGER), ({"multipleOf": 2}, MAX_STEPPED)):
        schema = {keyword: sign * limit * 2, **beside}
        with pytest.raises(GrammarError, match="beyond") as caught:
            number_shapes(subschemas(schema), integer)
        assert caught.value.keyword == keyword


@pytest.mark.parametrize("step", [0, -1, 2**40, 1 / 4096, 10_001, 1.001, 1e-10])
def test_a_step_that_cannot_be_counted_is_refused(step: float) -> None:
    with pytest.raises(GrammarError) as caught:
        number_shapes(subschemas({"multipleOf": step}), integer=False)
    assert caught.value.keyword == "multipleOf"


def test_several_steps_are_their_least_common_one() -> None:
    for steps, common in (((4, 6), 12), ((0.5, 0.75), 1.5), ((2, 0.5), 2)):
        [shape] = number_shapes(subschemas(*({"multipleOf": step} for step in steps)), False)
        assert shape.multiple == common
    with pytest.raises(GrammarError, match="can be counted"):
        number_shapes(subschemas({"multipleOf": 997}, {"multipleOf": 991}), False)


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"minLength": st.integers(0, 4), "maxLength": st.integers(0, 4)}
        ),
        min_size=1,
        max_size=2,
    )
)
def test_a_string_is_in_the_shape_if_and_only_if_it_is_valid(schemas: list[dict[str, Any]]) -> None:
    shapes = text_shapes(subschemas(*schemas))
    validator = Draft202012Validator({"type": "string", "allOf": schemas})
    for text in ("", "a", "éé", "abc", "abcd", "abcde"):
        assert admits_scalar(shapes, text) == validator.is_valid(text)
    assert not admits_scalar(shapes, 1)


def test_patterns_are_all_found_and_formats_that_are_unknown_are_annotations() -> None:
    [shape] = text_shapes(
        subschemas({"pattern": "a", "format": "date"}, {"pattern": "b$", "format": "colour"})
    )
    assert shape.patterns == ("a", "b$", format_pattern("date"))
    assert not shape.plain
    [shape] = text_shapes(subschemas({"pattern": "a"}, {"pattern": "b$"}, {"pattern": "a"}))
    assert shape.patterns == ("a", "b$")
    assert admits_scalar([shape], "cab")
    assert not admits_scalar([shape], "ba")


@pytest.mark.parametrize(
    ("types", "left"),
    [
        ([], {"null", "boolean", "number", "string", "array", "object"}),
        (["integer"], {"integer"}),
        ([["number", "null"], "integer"], {"integer"}),
        (["integer", ["number", "null"]], {"integer"}),
        ([["number", "integer"], "number"], {"number"}),
        (["string", "number"], set()),
        ([["string", "null"], ["null", "array"]], {"null"}),
    ],
)
def test_the_types_of_a_conjunction_are_those_that_all_allow(
    types: list[Any], left: set[str]
) -> None:
    assert common_types(subschemas({}, *({"type": one} for one in types))) == left


def test_the_values_of_a_conjunction_are_those_that_all_name() -> None:
    def values(*schemas: Any) -> list[Any] | None:
        found = common_values(subschemas(*schemas))
        return None if found is None else [value for _, value in found]

    assert values({}, {"type": "string"}) is None
    assert values({"enum": [1, 2, 1.0, True]}) == [1.0, 2, True]
    assert values({"enum": [1, 2, None]}, {"enum": [None, True, 2.0]}) == [2, None]
    assert values({"enum": [[1], {"a": 1}]}, {"const": {"a": 1.0}}) == [{"a": 1}]
    assert values({"const": None}) == [None]
    assert values({"enum": ["a"]}, {"const": "b"}) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": "abc"},
        {"enum": [float("inf")]},
        {"const": {"a": [float("nan")]}},
        {"enum": [[10**40]]},
        {"const": -(10**40)},
    ],
)
def test_values_that_json_cannot_carry_are_refused(schema: Any) -> None:
    with pytest.raises(GrammarError) as caught:
        common_values(subschemas(schema))
    assert caught.value.keyword in schema
    assert common_values(subschemas({"const": 10**40 - 1})) is not None


def test_a_scalar_is_written_in_its_shortest_form_and_without_control_characters() -> None:
    [place] = subschemas({"enum": []})
    assert (repr(writable(place, 2.0)), writable(place, 2.5)) == ("2", 2.5)
    assert writable(place, "a\n\t") == "a\n\t"
    for keyword in ("enum", "const"):
        [place] = subschemas({keyword: []})
        with pytest.raises(GrammarError, match="control characters") as caught:
            writable(place, "\x1f")
        assert caught.value.keyword == keyword


def test_the_tightest_of_the_counts_holds() -> None:
    places = subschemas({"minItems": 2, "maxItems": 9}, {}, {"minItems": 4, "maxItems": 7})
    assert bounds(places, "minItems", "maxItems") == (4, 7)
    assert bounds(subschemas({}), "minItems", "maxItems") == (0, None)
