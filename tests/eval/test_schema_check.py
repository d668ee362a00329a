"""The evaluation's own reading of JSON Schema agrees with a full one where both apply."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.eval.schema_check import arguments_are_valid, is_valid

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["a"],
    "additionalProperties": False,
    "properties": {
        "a": {"type": "integer"},
        "b": {"type": "string", "enum": ["x", "y"]},
        "c": {"type": "array", "items": {"type": "number"}},
        "d": {"type": ["boolean", "null"], "description": "maybe"},
        "e": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
LEAVES = st.sampled_from([None, True, False, 0, 1, 2.0, 1.5, "x", "z", ""])
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcde"), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), VALUES, max_size=4))
def test_verdicts_equal_those_of_the_reference_validator(value: Any) -> None:
    reference = jsonschema.Draft202012Validator(SCHEMA)
    assert is_valid(value, SCHEMA) == reference.is_valid(value)


def test_text_that_is_not_json_is_invalid() -> None:
    assert not arguments_are_valid('{"a": 1', SCHEMA)
    assert arguments_are_valid('{"a": 1}', SCHEMA)


def test_a_keyword_that_is_not_checked_is_an_error_and_not_a_pass() -> None:
    with pytest.raises(ValueError, match="'pattern' is not checked"):
        is_valid("x", {"type": "string", "pattern": "y"})


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": ' + "1" * 5000 + "}", "[" * 100_000])
def test_text_that_python_reads_or_chokes_on_is_invalid_too(text: str) -> None:
    assert not arguments_are_valid(text, {})
