"""Seeded schemas, and how arguments are judged against them."""

import json

import pytest
from jsonschema import Draft202012Validator

from openk2.verify.schemas import KINDS, argument_problem, schema_problem, schemas


def test_schemas_are_seeded_strict_and_show_every_kind():
    found = schemas(0, len(KINDS))
    assert found == schemas(0, len(KINDS))
    assert found != schemas(1, len(KINDS))
    for schema in found:
        Draft202012Validator.check_schema(schema)
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
    text = json.dumps(found)
    for keyword in ("enum", "const", "pattern", "anyOf", "$ref", "minItems", "null", "boolean"):
        assert keyword in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"n": 3}', None),
        ('{"n": 3', "not JSON"),
        ('{"n": NaN}', "NaN is not JSON"),
        ('{"n": "3"}', "not of type 'integer'"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_arguments_are_judged(arguments, said):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    problem = argument_problem(arguments, schema)
    assert (problem is None) if said is None else (said in problem)


@pytest.mark.parametrize("schema", [{"$ref": "http://example.invalid/x"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_applied_is_said_to_be_and_nothing_is_fetched(schema):
    assert "the schema cannot be applied" in argument_problem('"a"', schema)


def test_what_is_no_schema_is_said_to_be_none():
    assert schema_problem({"type": "object"}) is None
    assert "word" in schema_problem({"type": "word"})
    assert "word" in schema_problem({"properties": {"a": {"type": "word"}}})


def test_an_id_of_an_older_draft_is_let_pass_and_the_schema_applied():
    schema = {"$defs": {"n": {"$id": "#n", "type": "integer"}}, "required": ["a"]}
    assert schema_problem(schema) is None
    assert "'a' is a required property" in argument_problem("{}", schema)
