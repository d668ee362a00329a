"""Reading the keywords of a JSON Schema: their names, their types, where a `$ref` leads.

Draft 2020-12. A name that the specification does not know is an annotation there, and is one here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from openk2.grammar.error import GrammarError

TYPES = ("null", "boolean", "number", "string", "array", "object")

# Assertions that cannot be enforced token by token. Each is refused by its name.
UNENFORCEABLE = (
    "if",
    "contains",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    # Keywords of earlier drafts: today they would be ignored, which is not what they are for.
    "additionalItems",
    "dependencies",
)
STRUCTURED = frozenset(
    (
        *("prefixItems", "items", "minItems", "maxItems", "uniqueItems"),
        *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties"),
        *("propertyNames", "required", "minProperties", "maxProperties"),
    )
)
# A schema that says none of these says nothing about a value.
ASSERTIONS = frozenset(
    (
        *("type", "enum", "const", "minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *STRUCTURED,
    )
)
APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf", "not", "dependentRequired", "dependentSchemas")


@dataclass(frozen=True)
class Subschema:
    """A schema and the JSON pointer at which it stands, which alone tells two of them apart."""

    pointer: str
    schema: Mapping[str, Any] | bool = field(compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.schema, Mapping | bool):
            shown = type(self.schema).__name__
            raise GrammarError(
                f"is of type {shown}: a schema is an object or a boolean", pointer=self.pointer
            )

    def get(self, keyword: str) -> Any:
        """The keyword's value, None if it is not there."""
        return self.schema.get(keyword) if isinstance(self.schema, Mapping) else None

    def keywords(self) -> frozenset[str]:
        """The keywords that are there; none of a boolean."""
        return frozenset(self.schema) if isinstance(self.schema, Mapping) else frozenset()

    def below(self, *steps: str | int) -> "Subschema":
        """The schema at these steps, which must be there."""
        pointer, found = self.pointer, self.schema
        for step in steps:
            pointer = f"{pointer}/{escaped(str(step))}"
            found = found[step]  # type: ignore[index]
        return Subschema(pointer, found)

    def made(self, name: str, schema: Mapping[str, Any] | bool) -> "Subschema":
        """A schema that another keyword stands for."""
        return Subschema(f"{self.pointer}/{name}", schema)

    def refused(self, keyword: str, problem: str) -> GrammarError:
        return GrammarError(problem, pointer=self.pointer, keyword=keyword)

    def count(self, keyword: str) -> int | None:
        """A length: an integer from 0 on."""
        value = self.number(keyword)
        if value is None:
            return None
        if value < 0 or value != int(value):
            raise self.refused(keyword, f"is {value}: it must be an integer from 0 on")
        return int(value)

    def number(self, keyword: str) -> int | float | None:
        value = self.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refused(keyword, f"is of type {type(value).__name__}: it must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refused(keyword, f"is {value}: it must be a finite number")
        return value

    def text(self, keyword: str) -> str | None:
        value = self.get(keyword)
        if value is not None and not isinstance(value, str):
            raise self.refused(keyword, f"is of type {type(value).__name__}: it must be a string")
        return value

    def names(self, keyword: str) -> tuple[str, ...]:
        """A list of strings; empty if the keyword is not there."""
        value = self.get(keyword)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.refused(keyword, "must be a list of strings")
        return tuple(value)

    def schemas(self, keyword: str) -> "tuple[Subschema, ...]":
        """A list of schemas; empty if the keyword is not there."""
        value = self.get(keyword)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.refused(keyword, "must be a list of schemas")
        return tuple(self.below(keyword, index) for index in range(len(value)))

    def mapping(self, keyword: str) -> Mapping[str, Any]:
        """An object; empty if the keyword is not there."""
        value = self.get(keyword)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refused(keyword, "must be an object")
        return value

    def types(self) -> frozenset[str] | None:
        """The types that `type` allows; "integer" beside the six; None if it is not there."""
        value = self.get("type")
        if value is None:
            return None
        names = [value] if isinstance(value, str) else value
        known = (*TYPES, "integer")
        if not isinstance(names, list) or any(name not in known for name in names):
            raise self.refused("type", f"must be of {', '.join(known)}, or a list of these")
        return frozenset(names)


def referred(root: Subschema, subschema: Subschema) -> Subschema | None:
    """The subschema that `$ref` points to, None without one. Only within the document."""
    reference = subschema.text("$ref")
    if reference is None:
        return None
    own = root.text("$id") or ""
    target = reference.removeprefix(own) if own else reference
    fragment = unquote(target.removeprefix("#"))
    if target and not target.startswith("#"):
        raise subschema.refused(
            "$ref", f"leads to {reference!r}: only the schema itself is looked at"
        )
    if fragment and not fragment.startswith("/"):
        return _anchored(root, subschema, fragment)
    pointer, value = root.pointer, root.schema
    for step in fragment.split("/")[1:]:
        pointer = f"{pointer}/{step}"
        name = step.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name)] if isinstance(value, list) else value[name]  # type: ignore[index]
        except (KeyError, IndexError, ValueError, TypeError):
            raise subschema.refused("$ref", f"leads to {reference!r}, which is not there") from None
    return Subschema(pointer, value)


def _anchored(root: Subschema, subschema: Subschema, anchor: str) -> Subschema:
    """The schema of the document with that `$anchor`."""
    pending: list[tuple[str, Any]] = [(root.pointer, root.schema)]
    while pending:
        pointer, value = pending.pop()
        if isinstance(value, Mapping):
            if value.get("$anchor") == anchor:
                return Subschema(pointer, value)
            pending += [(f"{pointer}/{escaped(str(key))}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            pending += [(f"{pointer}/{index}", inner) for index, inner in enumerate(value)]
    raise subschema.refused("$ref", f"leads to the anchor {anchor!r}, which is not there")


def escaped(step: str) -> str:
    """A step of a JSON pointer."""
    return step.replace("~", "~0").replace("/", "~1")
