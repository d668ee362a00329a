"""Tools as the templates of K2.5, K2.6 and K2.7-Code declare them: one TypeScript type each.

Another form than the report's (`typescript`): required parameters come first, both groups by name,
with defaults and bounds as comments, and definitions as interfaces. Keys are sorted first at every
depth, as the published tokenizer does.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

INDENT = "  "
_BOUNDS = {
    "string": ("maxLength", "minLength", "pattern"),
    "number": ("maximum", "minimum"),
    "integer": ("maximum", "minimum"),
    "array": ("maxItems", "minItems"),
}
# Members of a list of types.
_UNION = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "null": "null",
    "object": "{}",
    "array": "Array<any>",
}
_ENUM_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
}


def tool_namespaces(tools: Sequence[Mapping[str, Any]]) -> str:
    """The declaration of OpenAI tools; empty if none is a function.

    Raises ValueError, TypeError, KeyError, AttributeError or RecursionError for a schema that has
    no such form: the published tokenizer then falls back on JSON.
    """
    functions = [
        _function(sorted_keys(tool["function"])) for tool in tools if tool.get("type") == "function"
    ]
    if not functions:
        return ""
    return "# Tools\n\n## functions\nnamespace functions {\n" + "\n".join(functions) + "\n}\n"


def sorted_keys(value: Any) -> Any:
    """The value with the keys of all its objects in order."""
    if isinstance(value, Mapping):
        return {key: sorted_keys(value[key]) for key in sorted(value)}
    return [sorted_keys(item) for item in value] if isinstance(value, list) else value


def in_shown_order(value: Any) -> Any:
    """The value with sorted keys, but of an object's properties first those that are required."""
    if isinstance(value, list):
        return [in_shown_order(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    ordered = {key: in_shown_order(value[key]) for key in sorted(value)}
    properties, required = ordered.get("properties"), ordered.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        first = [name for name in properties if name in required]
        ordered["properties"] = {name: properties[name] for name in (*first, *properties)}
    return ordered


def _function(function: Mapping[str, Any]) -> str:
    """The interfaces, the comment and the type of one function."""
    writer = _Writer()
    parameters = function.get("parameters") or {}
    written = writer.object(parameters, "")
    lines: list[str] = []
    if writer.points_to_root:
        fields = [writer.field(*each, INDENT) for each in _parameters(parameters)]
        body = "\n" + ",\n".join(fields) + "\n" if fields else ""
        lines.append(f"interface parameters {{{body}}}")
        written = "parameters"
    for name, schema in list(writer.definitions.items()):
        described = schema.get("description", "")
        lines += [_comment(described)] if described else []
        lines.append(f"interface {name} {writer.type(schema, '')}")
    described = function.get("description")
    lines += [_comment(described)] if described else []
    return "\n".join([*lines, f"type {function['name']} = (_: {written}) => any;"])


class _Writer:
    """Writes the types of one function.

    definitions: those met so far, by name. points_to_root: whether a reference is to the whole
    schema, which then needs a name.
    """

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self.points_to_root = False

    def type(self, schema: Any, indent: str) -> str:
        """The type of a schema whose line is indented so far."""
        if isinstance(schema, bool):
            return "any" if schema else "null"
        if "$ref" in schema:
            return self.reference(schema["$ref"])
        if "anyOf" in schema:
            return " | ".join([self.type(each, indent) for each in schema["anyOf"]])
        if "enum" in schema:
            return _enum(schema)
        if "type" in schema:
            return self.named(schema, schema["type"], indent)
        if schema != {}:
            raise ValueError(f"a schema has none of $ref, anyOf, enum and type: {schema}")
        return "any"

    def named(self, schema: Mapping[str, Any], kind: Any, indent: str) -> str:
        """The type by the `type` keyword; one that is unknown is written as it is."""
        if isinstance(kind, list):
            return " | ".join([_UNION[each] for each in kind])
        if kind == "object":
            return self.object(schema, indent)
        if kind == "array":
            return self.array(schema.get("items") or {}, indent)
        return "number" if kind == "integer" else str(kind)

    def object(self, schema: Mapping[str, Any], indent: str) -> str:
        """The fields, those that are required first, and what other keys may hold."""
        self.definitions.update(schema.get("$defs") or {})
        inner, others = indent + INDENT, schema.get("additionalProperties")
        if not isinstance(others, bool | dict | None):
            raise ValueError(f"additionalProperties is {others!r}")
        rest = "never" if others is False else self.type({} if others is None else others, inner)
        ordered = sorted(_parameters(schema), key=lambda each: (each[2], each[0]))
        fields = [self.field(*each, inner) for each in ordered]
        if others is not None:
            fields.append(f"{inner}[k: string]: {rest}")
        return "{\n" + ",\n".join(fields) + f"\n{indent}}}" if fields else "{}"

    def field(self, name: str, schema: Any, optional: bool, indent: str) -> str:
        """One field with its comments above it."""
        comments = _comments(schema, indent)
        default = schema.get("default") if isinstance(schema, dict) else None
        if default is not None:
            # Python's spelling of numbers and truth values, JSON's of everything else.
            plain = isinstance(default, int | float)
            shown = repr(default) if plain else json.dumps(default, ensure_ascii=False)
            comments += f"{indent}// Default: {shown}\n"
        return f"{comments}{indent}{name}{'?' if optional else ''}: {self.type(schema, indent)}"

    def array(self, items: Any, indent: str) -> str:
        """A list; comments of its items need a line."""
        inner = indent + INDENT
        comments = _comments(items, inner)
        if not comments:
            return f"Array<{self.type(items, indent)}>"
        return f"Array<\n{comments}{inner}{self.type(items, inner)}\n{indent}>"

    def reference(self, reference: str) -> str:
        """The name of what is referred to; only to the root or to a definition met before."""
        if reference == "#":
            self.points_to_root = True
            return "parameters"
        name = reference.split("/")[-1]
        if not reference.startswith("#/$defs/") or name not in self.definitions:
            raise ValueError(f"{reference} refers to no definition of the schema")
        return name


def _parameters(schema: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """(name, schema, whether it is optional) of each property, in the schema's order."""
    required = set(schema.get("required", ())) if "properties" in schema else set()
    return [(name, one, name not in required) for name, one in schema.get("properties", {}).items()]


def _enum(schema: Mapping[str, Any]) -> str:
    """The values, those that are no strings as Python writes them. Raises for another type's."""
    kind = schema.get("type")
    if isinstance(kind, list):
        if len(kind) > 2 or (len(kind) == 2 and "null" not in kind):
            raise ValueError(f"an enum has the types {kind}")
        kind = kind[1] if len(kind) == 2 and kind[0] == "null" else kind[0]
    allowed = _ENUM_TYPES.get(kind, object) if isinstance(kind, str) else object
    for value in schema["enum"]:
        if value is not None and not isinstance(value, allowed):
            raise ValueError(f"an enum of type {kind} has {value!r}")
    return " | ".join([f'"{one}"' if isinstance(one, str) else str(one) for one in schema["enum"]])


def _comments(schema: Any, indent: str) -> str:
    """The lines above a field: its description, then its bounds."""
    if not isinstance(schema, Mapping):
        return ""
    lines = []
    if described := schema.get("description", ""):
        lines.append(_comment(described, indent))
    kind = schema.get("type")
    # References, choices and lists of types have no bounds.
    named = isinstance(kind, str) and not {"$ref", "anyOf", "enum"} & schema.keys()
    bounds = [f"{key}: {schema[key]}" for key in _BOUNDS.get(str(kind), ()) if key in schema]
    if named and bounds:
        lines.append(f"{indent}// {', '.join(bounds)}")
    return "".join(line + "\n" for line in lines)


def _comment(text: str, indent: str = "") -> str:
    return "\n".join([f"{indent}// {line}" if line else "" for line in text.split("\n")])
