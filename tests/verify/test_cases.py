"""What the checks ship: seeded decisions and schemas."""

import json

import pytest
from jsonschema import Draft202012Validator

from openk2.verify.decisions import agreement, decisions
from openk2.verify.schemas import KINDS, schemas


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
