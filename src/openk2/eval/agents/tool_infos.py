"""Functions as benchmarks declare them, as tools that any OpenAI-compatible endpoint takes.

Names get the characters and the length that endpoints allow; schemas written with Python's type
names (`dict`, `float`, `list`) become JSON schemas.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from inspect_ai.tool import ToolInfo, ToolParams
from pydantic import ValidationError

from openk2.record import DataError

LONGEST_NAME = 64
TYPES = {"dict": "object", "float": "number", "list": "array", "int": "integer", "bool": "boolean"}
KEPT = (
    *("type", "format", "description", "default", "enum", "required", "pattern"),
    *("minLength", "maxLength", "minimum", "maximum"),
)
Function = Mapping[str, Any]


def parameters_of(function: Function) -> Mapping[str, Any]:
    """A function's JSON schema, which some files call its arguments."""
    found = function.get("parameters", function.get("arguments")) or {}
    return found if isinstance(found, Mapping) else {}


def tool_infos(functions: Sequence[Function], place: str) -> tuple[list[ToolInfo], dict[str, str]]:
    """Tools, and the declared name of each tool's name. Raises DataError at `place`."""
    tools: list[ToolInfo] = []
    declared: dict[str, str] = {}
    for function in functions:
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{place}: a function's name is {name!r}, must be text")
        allowed = allowed_name(name, declared)
        declared[allowed] = name
        schema = json_schema(parameters_of(function))
        try:
            parameters = ToolParams.model_validate(
                {"properties": schema.get("properties", {}), "required": schema.get("required", [])}
            )
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise DataError(f"{place}: parameters of function {name!r}: {reason}") from None
        description = str(function.get("description", ""))
        tools.append(ToolInfo(name=allowed, description=description, parameters=parameters))
    return tools, declared


def allowed_name(name: str, taken: Mapping[str, str]) -> str:
    """The name with `_` for what endpoints refuse, and a number if another tool has it."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:LONGEST_NAME]
    allowed, number = plain, 2
    while allowed in taken:
        end = f"_{number}"
        allowed, number = plain[: LONGEST_NAME - len(end)] + end, number + 1
    return allowed


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords that tools can have, at any depth; required names only what is declared."""
    clean: dict[str, Any] = {key: schema[key] for key in KEPT if schema.get(key) is not None}
    if isinstance(clean.get("type"), str):
        clean["type"] = TYPES.get(clean["type"], clean["type"])
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        clean["properties"] = {
            key: json_schema(value)
            for key, value in properties.items()
            if isinstance(value, Mapping)
        }
    required = clean.pop("required", None)
    if isinstance(required, list):
        clean["required"] = [key for key in required if key in clean.get("properties", {})]
    items = schema.get("items")
    if isinstance(items, Mapping):
        clean["items"] = json_schema(items)
    return clean
