"""Tools as TypeScript types: the shorter of the two declarations K2 was trained on.

Report appendix B. What TypeScript has no type for (patterns, bounds, references) is left out, so
this tells the model about a schema; it does not replace the schema.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_PRIMITIVES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def typescript(functions: Sequence[Mapping[str, Any]]) -> str:
    """The declaration of OpenAI `function` objects: a namespace with a function type for each."""
    lines = ["namespace functions {"]
    for function in functions:
        parameters = function.get("parameters")
        fields = _object(parameters) if _properties(parameters) else ""
        lines += _comment(function)
        lines.append(f"type {function['name']} = ({fields and '_: ' + fields}) => any;")
    return "\n".join([*lines, "}"])


def _type(schema: Any) -> str:
    """The type of a JSON Schema; `any` where it says nothing that TypeScript can."""
    if not isinstance(schema, Mapping):
        return "any"
    if "const" in schema:
        return _literal(schema["const"])
    if isinstance(schema.get("enum"), list):
        return " | ".join(_literal(value) for value in schema["enum"]) or "never"
    for choice in ("anyOf", "oneOf"):
        if isinstance(schema.get(choice), list):
            return _union(_type(option) for option in schema[choice])
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union(_type({**schema, "type": one}) for one in kind)
    if kind == "array":
        item = _type(schema.get("items"))
        return f"({item})[]" if " | " in item else f"{item}[]"
    if kind == "object" or _properties(schema):
        return _object(schema)
    return _PRIMITIVES.get(kind, "any") if isinstance(kind, str) else "any"


def _object(schema: Any) -> str:
    properties = _properties(schema)
    if not properties:
        return "object"
    required = schema.get("required")
    lines = ["{"]
    for name, field in properties.items():
        key = name if name.isidentifier() else _literal(name)
        optional = "" if isinstance(required, list) and name in required else "?"
        lines += [*_comment(field), f"{key}{optional}: {_type(field)},"]
    return "\n".join([*lines, "}"])


def _properties(schema: Any) -> Mapping[str, Any]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}


def _comment(described: Any) -> list[str]:
    description = described.get("description") if isinstance(described, Mapping) else None
    lines = description.splitlines() if isinstance(description, str) else []
    return [f"// {line}" for line in lines]


def _union(types: Iterator[str]) -> str:
    return " | ".join(dict.fromkeys(types)) or "any"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
