"""Tools as TypeScript types: the shorter of the two declarations that K2 was trained on.

Report appendix B, listing 2. What TypeScript has no type for (patterns, bounds, conditions) is
omitted: the declaration describes the schema to the model but does not replace it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_PRIMITIVES = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
}


def typescript(functions: Sequence[Mapping[str, Any]]) -> str:
    """The declaration of OpenAI `function` objects: a namespace with one function type each.

    Raises TypeError, ValueError or RecursionError for what JSON could not express either.
    """
    lines = ["namespace functions {"]
    for function in functions:
        parameters = function.get("parameters")
        written = _Types(parameters).of(parameters)
        fields = "" if written in ("any", "object") else f"_: {written}"
        lines += [*_comment(function), f"type {function['name']} = ({fields}) => any;"]
    return "\n".join([*lines, "}"])


class _Types:
    """Writes the types of one schema. root: the document that its references point into."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._open: list[str] = []  # references being followed; a recursive one is `any`

    def of(self, schema: Any) -> str:
        """The type of a JSON Schema; `any` if TypeScript has none for it."""
        if not isinstance(schema, Mapping):
            return "any"
        if "const" in schema:
            return _literal(schema["const"])
        if isinstance(schema.get("enum"), list):
            return " | ".join(_literal(value) for value in schema["enum"]) or "never"
        if isinstance(schema.get("$ref"), str):
            return self._referred(schema["$ref"])
        for choice in ("anyOf", "oneOf"):
            if isinstance(schema.get(choice), list):
                return _joined(" | ", map(self.of, schema[choice]))
        if isinstance(schema.get("allOf"), list):
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            parts = [self.of(part) for part in (rest, *schema["allOf"])]
            return _joined(" & ", (_grouped(part) for part in parts if part != "any"))
        return self._typed(schema, schema.get("type"))

    def _typed(self, schema: Mapping[str, Any], kind: Any) -> str:
        """The type by the `type` keyword, or by the keywords that imply one."""
        if isinstance(kind, list):
            return _joined(" | ", (self._typed(schema, one) for one in kind))
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return self._array(schema)
        if kind == "object" or (kind is None and _fields(schema)):
            return self._object(schema)
        return _PRIMITIVES.get(kind, "any") if isinstance(kind, str) else "any"

    def _array(self, schema: Mapping[str, Any]) -> str:
        items = schema.get("items")
        places = schema.get("prefixItems", items)
        if not isinstance(places, list):
            return f"{_grouped(self.of(items))}[]"
        more = schema.get("additionalItems") if places is items else items
        rest = [] if more in (None, False) else [f"...{_grouped(self.of(more))}[]"]
        return f"[{', '.join([*map(self.of, places), *rest])}]"

    def _object(self, schema: Mapping[str, Any]) -> str:
        required = schema.get("required")
        fields: list[str] = []
        for name, field in _fields(schema).items():
            key = name if name.isidentifier() else _literal(name)
            optional = "" if isinstance(required, list) and name in required else "?"
            fields.append("\n".join([*_comment(field), f"{key}{optional}: {self.of(field)}"]))
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping):
            fields.append(f"[key: string]: {self.of(others)}")
        return "{\n" + ",\n".join(fields) + "\n}" if fields else "object"

    def _referred(self, reference: str) -> str:
        """The type that a reference into the schema points to."""
        if not reference.startswith("#") or reference in self._open:
            return "any"
        target = self._root
        for step in reference.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            target = target.get(step) if isinstance(target, Mapping) else None
        self._open.append(reference)
        written = self.of(target)
        self._open.pop()
        return written


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _comment(described: Any) -> list[str]:
    description = described.get("description") if isinstance(described, Mapping) else None
    lines = description.splitlines() if isinstance(description, str) else []
    return [f"// {line}" for line in lines]


def _joined(sign: str, types: Iterable[str]) -> str:
    return sign.join(dict.fromkeys(types)) or "any"


def _grouped(written: str) -> str:
    """The type in parentheses, if an operator beside it could bind to a part of it."""
    return f"({written})" if " | " in written or " & " in written else written


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
