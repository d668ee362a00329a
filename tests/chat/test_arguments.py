"""Arguments are judged by the JSON Schema that their tool declares, and nothing is fetched."""

import json

import pytest

from openk2.chat.arguments import argument_problem, read_json, schema_problem


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


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": ' + "1" * 5000 + "}", "[" * 100_000])
def test_text_that_python_reads_or_chokes_on_is_no_json(text):
    with pytest.raises(ValueError, match=r"NaN|digits|nested"):
        read_json(text)


def test_schemas_that_differ_in_one_value_are_judged_apart_however_often_they_come():
    for limit in (2, 3, 2, 3):
        schema = {"properties": {"n": {"maximum": limit}}}
        assert (argument_problem('{"n": 3}', schema) is None) == (limit == 3)


def test_arguments_that_nest_deeper_than_python_follows_are_invalid():
    schema = {"additionalProperties": {"$ref": "#"}, "type": "object"}
    value = {}
    for _ in range(300):
        value = {"a": value}
    assert "nested too deeply" in argument_problem(json.dumps(value), schema)
