"""Seeded schemas."""

import json

from jsonschema import Draft202012Validator

from openk2.verify.schemas import KINDS, schemas


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
