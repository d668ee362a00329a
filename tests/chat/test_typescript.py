from typing import Any

import pytest

from openk2.chat.typescript import typescript


def field(schema: Any) -> str:
    """The TypeScript type of one required field."""
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    text = typescript([{"name": "f", "parameters": parameters}])
    return text.removeprefix("namespace functions {\ntype f = (_: {\nx: ").removesuffix(
        ",\n}) => any;\n}"
    )


def test_a_tool_is_a_commented_function_type_with_optional_fields_marked() -> None:
    function = {
        "name": "get_weather",
        "description": "Weather of a city.\nFor today.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "In English"},
                "unit": {"enum": ["c", "f"]},
            },
            "required": ["city"],
        },
    }
    assert typescript([function, {"name": "now"}]) == (
        "namespace functions {\n"
        "// Weather of a city.\n// For today.\n"
        "type get_weather = (_: {\n"
        "// In English\ncity: string,\n"
        'unit?: "c" | "f",\n'
        "}) => any;\n"
        "type now = () => any;\n"
        "}"
    )


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({"type": "integer"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"type": "array", "items": {"type": "number"}}, "number[]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array"}, "any[]"),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "number"}]},
            "string | number",
        ),
        ({"const": "é"}, '"é"'),
        ({"type": "object"}, "object"),
        ({"properties": {"a-b": {"type": "string"}}}, '{\n"a-b"?: string,\n}'),
        ({"$ref": "#/x"}, "any"),
        (True, "any"),
    ],
)
def test_schemas_become_the_nearest_type(schema: Any, written: str) -> None:
    assert field(schema) == written
