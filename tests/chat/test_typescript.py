from typing import Any

import pytest

from openk2.chat.typescript import typescript


def field(schema: Any) -> str:
    """The TypeScript type of one required field."""
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    text = typescript([{"name": "f", "parameters": parameters}])
    return text.removeprefix("namespace functions {\ntype f = (_: {\nx: ").removesuffix(
        "\n}) => any;\n}"
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
        'unit?: "c" | "f"\n'
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
        ({"properties": {"a-b": {"type": "string"}}}, '{\n"a-b"?: string\n}'),
        ({"$ref": "#/x"}, "any"),
        ({"$ref": "http://elsewhere/x"}, "any"),
        (True, "any"),
        ({"enum": ["a", 1, None, True]}, '"a" | 1 | null | true'),
        ({"enum": []}, "never"),
        ({"const": {"a": [1]}}, '{"a": [1]}'),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "string[] | null"),
        ({"items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"type": "array", "items": {}}}, "any[][]"),
        ({"prefixItems": [{"type": "string"}, {"type": "null"}]}, "[string, null]"),
        (
            {"prefixItems": [{"type": "string"}], "items": {"type": "null"}},
            "[string, ...null[]]",
        ),
        ({"type": "array", "items": [{"type": "string"}, {}]}, "[string, any]"),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            "{\n[key: string]: number\n}",
        ),
        ({"type": "object", "additionalProperties": False}, "object"),
        (
            {"oneOf": [{"type": "object", "properties": {"a": {}}}, {"type": "null"}]},
            "{\na?: any\n} | null",
        ),
        (
            {
                "allOf": [{"$ref": "#/properties/x/$defs/a~1b"}, {"enum": [1, 2]}],
                "$defs": {"a/b": {"type": "string"}},
            },
            "string & (1 | 2)",
        ),
        (
            {
                "type": "object",
                "properties": {
                    "a": {
                        "description": "A\nb",
                        "properties": {"$c": {"type": "null"}},
                        "required": ["$c"],
                    }
                },
            },
            '{\n// A\n// b\na?: {\n"$c": null\n}\n}',
        ),
        ({"type": 5}, "any"),
        ({"type": "unknown"}, "any"),
        ({"properties": 5, "type": "object", "required": 5}, "object"),
    ],
)
def test_schemas_become_the_nearest_type(schema: Any, written: str) -> None:
    assert field(schema) == written


def test_the_reports_example_is_written_as_the_report_has_it() -> None:
    weather = {
        "name": "get_weather",
        "description": "Get weather for a location and date",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "City and country"},
                "date": {"type": "string", "description": "Date to query"},
            },
            "required": ["location"],
        },
    }
    calculator = {
        "name": "Calculator",
        "description": "Simple calculator",
        "parameters": {
            "properties": {"expr": {"type": "string", "description": "In javascript"}},
            "type": "object",
        },
    }
    assert typescript([weather, calculator]) == (
        "namespace functions {\n"
        "// Get weather for a location and date\n"
        "type get_weather = (_: {\n"
        "// City and country\nlocation: string,\n"
        "// Date to query\ndate?: string\n"
        "}) => any;\n"
        "// Simple calculator\n"
        "type Calculator = (_: {\n"
        "// In javascript\nexpr?: string\n"
        "}) => any;\n"
        "}"
    )


def test_a_reference_is_followed_and_one_inside_itself_is_any() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}
    parameters = {"properties": {"list": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
    assert typescript([{"name": "f", "parameters": parameters}]) == (
        "namespace functions {\ntype f = (_: {\nlist?: {\nnext?: any\n}\n}) => any;\n}"
    )


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object", "properties": {}}, [], True])
def test_a_tool_without_parameters_takes_nothing(parameters: Any) -> None:
    assert typescript([{"name": "f", "parameters": parameters}]) == (
        "namespace functions {\ntype f = () => any;\n}"
    )
