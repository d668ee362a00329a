"""What the checks ship: seeded decisions and schemas, and how arguments are judged."""

import json

import pytest
from jsonschema import Draft202012Validator

from openk2.verify.decisions import agreement, decisions
from openk2.verify.schemas import KINDS, argument_problem, schema_problem, schemas


def test_decisions_are_seeded_and_of_both_kinds():
    assert decisions(3) == decisions(3)
    assert decisions(3) != decisions(4)
    found = decisions(0, 24)
    assert sum(decision.call for decision in found) == 12
    assert all(2 <= len(decision.tools) <= 3 for decision in found)


def test_agreement_is_precision_recall_and_their_mean():
    score = agreement([True, True, True, False, False], [True, True, False, True, False])
    assert (score.precision, score.recall) == (2 / 3, 2 / 3)
    assert score.f1 == pytest.approx(2 / 3)
    assert agreement([True, False], [False, False]).f1 == 0
    assert agreement([True, False], [True, False]).f1 == pytest.approx(1)


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
