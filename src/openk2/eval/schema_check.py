"""Whether a call's arguments are valid against a tool's declared parameters.

The part of JSON Schema that tools of the evaluations use. A keyword outside it is an error, so that
nothing is counted as valid that was not checked.
"""

import json
from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}
_ANNOTATIONS = frozenset({"description", "title", "default", "examples"})
_CHECKED = frozenset({"type", "enum", "required", "properties", "additionalProperties", "items"})


def read_json(text: str) -> Any:
    """The value of JSON text. Raises ValueError, also for Python's NaN and for endless nesting."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error


def arguments_are_valid(arguments: str, schema: Mapping[str, Any]) -> bool:
    """Whether JSON text is valid against `schema`. Raises ValueError as `is_valid` does."""
    try:
        value = read_json(arguments)
    except ValueError:
        return False
    return is_valid(value, schema)


def is_valid(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a JSON value is valid against a schema.

    Raises ValueError naming a keyword that is not checked here.
    """
    unknown = schema.keys() - _CHECKED - _ANNOTATIONS
    if unknown:
        raise ValueError(
            f"schema keyword {min(unknown)!r} is not checked by this evaluation; "
            f"it knows {', '.join(sorted(_CHECKED))}"
        )
    if "type" in schema and not _has_type(value, schema["type"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict):
        return _object_is_valid(value, schema)
    if isinstance(value, list) and "items" in schema:
        return all(is_valid(item, schema["items"]) for item in value)
    return True


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _object_is_valid(value: dict[str, Any], schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties", {})
    extra = schema.get("additionalProperties", True)
    if not all(name in value for name in schema.get("required", ())):
        return False
    for name, item in value.items():
        if name in properties:
            if not is_valid(item, properties[name]):
                return False
        elif extra is False or (isinstance(extra, Mapping) and not is_valid(item, extra)):
            return False
    return True


def _has_type(value: Any, declared: str | list[str]) -> bool:
    names = [declared] if isinstance(declared, str) else declared
    # In Python True is an int; in JSON it is not. A float without a fraction is a JSON integer.
    if isinstance(value, bool):
        return "boolean" in names
    if isinstance(value, float) and value.is_integer() and "integer" in names:
        return True
    return any(isinstance(value, _TYPES[name]) for name in names)
