"""`Subschema`: one schema in a document, its keywords with their types checked, and `$ref`.

Draft 2020-12. Unknown names are annotations, as in the specification.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from openk2.grammar.error import GrammarError

# In front of the pointer of a schema that another one's opposite is made of.
DENIED = "not "
TYPES = ("null", "boolean", "number", "string", "array", "object")

# Assertions that cannot be enforced token by token; each is refused by name.
UNENFORCEABLE = (
    "$dynamicRef",
    "$recursiveRef",
)
STRUCTURED = frozenset(
    (
        *("prefixItems", "items", "additionalItems", "minItems", "maxItems", "uniqueItems"),
        *("unevaluatedItems", "contains"),
        *("properties", "patternProperties", "additionalProperties", "unevaluatedProperties"),
        *("propertyNames", "required", "minProperties", "maxProperties"),
    )
)
UNEVALUATED = frozenset(("unevaluatedItems", "unevaluatedProperties"))
# A schema with none of these allows every value.
ASSERTIONS = frozenset(
    (
        *("type", "enum", "const", "minLength", "maxLength", "pattern", "format"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *STRUCTURED,
    )
)
APPLICATORS = (
    *("$ref", "allOf", "anyOf", "oneOf", "not", "if"),
    *("dependentRequired", "dependentSchemas", "dependencies"),
)
# Where schemas stand below a schema: under the keyword, or under each name or index of it.
_SCHEMA_KEYWORDS = frozenset(
    (
        *("not", "if", "then", "else", "items", "additionalItems", "contains", "propertyNames"),
        *("additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    )
)
_NAMED_SCHEMAS = frozenset(
    (
        *("$defs", "definitions", "properties", "patternProperties", "dependentSchemas"),
        *("dependencies", "allOf", "anyOf", "oneOf", "prefixItems", "items"),
    )
)
# Beyond these a bound is no bound of a double, and a list of names no list that anybody wrote.
MAX_BOUND, MAX_NAMES = 1e300, 4_000


@dataclass(frozen=True)
class Subschema:
    """A schema and the JSON pointer at which it stands, which alone tells two of them apart.

    excluded: values that it forbids. absent: a pattern that may not be found. Both come of `not`.
    """

    pointer: str
    schema: Mapping[str, Any] | bool = field(compare=False)
    excluded: tuple[Any, ...] = field(default=(), compare=False)
    absent: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.schema, Mapping | bool):
            shown = type(self.schema).__name__
            raise GrammarError(
                f"is of type {shown}: a schema is an object or a boolean", pointer=self.pointer
            )

    def get(self, keyword: str) -> Any:
        """The keyword's value; None if it is absent."""
        return self.schema.get(keyword) if isinstance(self.schema, Mapping) else None

    def keywords(self) -> frozenset[str]:
        """The keywords that are present; none for a boolean schema."""
        return frozenset(self.schema) if isinstance(self.schema, Mapping) else frozenset()

    @property
    def says_something(self) -> bool:
        """Whether it may forbid a value."""
        said = self.keywords() & (ASSERTIONS | frozenset(APPLICATORS) | frozenset(UNENFORCEABLE))
        return self.schema is False or bool(said or self.excluded or self.absent is not None)

    def below(self, *steps: str | int) -> "Subschema":
        """The subschema at these steps, which must exist."""
        pointer, found = self.pointer, self.schema
        for step in steps:
            pointer = f"{pointer}/{escaped(str(step))}"
            found = found[step]  # type: ignore[index]
        return Subschema(pointer, found)

    def made(self, name: str, schema: Mapping[str, Any] | bool) -> "Subschema":
        """A schema derived from one of this schema's keywords."""
        return Subschema(f"{self.pointer}/{name}", schema)

    def refused(self, keyword: str, problem: str) -> GrammarError:
        """The error of a keyword here; of a schema that is denied, of the one that it denies."""
        pointer = self.pointer
        while pointer.startswith(DENIED):
            pointer = pointer.removeprefix(DENIED).removesuffix("/not")
        return GrammarError(problem, pointer=pointer, keyword=keyword)

    def count(self, keyword: str) -> int | None:
        """The keyword as an integer of at least 0. Raises GrammarError for another value."""
        value = self.number(keyword)
        if value is None:
            return None
        if value < 0 or value != int(value):
            raise self.refused(keyword, f"is {value}: it must be an integer of at least 0")
        return int(value)

    def number(self, keyword: str) -> int | float | None:
        """The keyword as a finite number. Raises GrammarError for another value."""
        value = self.get(keyword)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.refused(keyword, f"is of type {type(value).__name__}: it must be a number")
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refused(keyword, f"is {value}: it must be a finite number")
        if abs(value) > MAX_BOUND:
            raise self.refused(keyword, f"is beyond {MAX_BOUND}")
        return value

    def text(self, keyword: str) -> str | None:
        """The keyword as a string. Raises GrammarError for another value."""
        value = self.get(keyword)
        if value is not None and not isinstance(value, str):
            raise self.refused(keyword, f"is of type {type(value).__name__}: it must be a string")
        return value

    def names(self, keyword: str) -> tuple[str, ...]:
        """The keyword as a list of strings; empty if it is absent."""
        value = self.get(keyword)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.refused(keyword, "must be a list of strings")
        if len(value) > MAX_NAMES:
            raise self.refused(keyword, f"has {len(value):,} names: at most {MAX_NAMES:,}")
        return tuple(value)

    def below_names(self, keyword: str, name: str) -> tuple[str, ...]:
        """The list of strings under a name of a keyword's object."""
        return Subschema(f"{self.pointer}/{keyword}", self.mapping(keyword)).names(name)

    def schemas(self, keyword: str) -> "tuple[Subschema, ...]":
        """The keyword as a list of schemas; empty if it is absent."""
        value = self.get(keyword)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.refused(keyword, "must be a list of schemas")
        if len(value) > MAX_NAMES:
            raise self.refused(keyword, f"has {len(value):,} schemas: at most {MAX_NAMES:,}")
        return tuple(self.below(keyword, index) for index in range(len(value)))

    def mapping(self, keyword: str) -> Mapping[str, Any]:
        """The keyword as an object; empty if it is absent."""
        value = self.get(keyword)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise self.refused(keyword, "must be an object")
        if len(value) > MAX_NAMES:
            raise self.refused(keyword, f"has {len(value):,} names: at most {MAX_NAMES:,}")
        return value

    def items(self) -> "tuple[tuple[Subschema, ...], Subschema | None]":
        """The schemas of the first items, and of all others; earlier drafts' lists too."""
        return self._items

    @cached_property  # asked for once for every item
    def _items(self) -> "tuple[tuple[Subschema, ...], Subschema | None]":
        if isinstance(self.get("items"), list):
            has_rest = self.get("additionalItems") is not None
            return self.schemas("items"), self.below("additionalItems") if has_rest else None
        rest = self.below("items") if self.get("items") is not None else None
        return self.schemas("prefixItems"), rest

    def inner(self) -> "list[Subschema]":
        """The schemas right below this one."""
        found: list[Subschema] = []
        for keyword, value in self.schema.items() if isinstance(self.schema, Mapping) else ():
            steps: list[tuple[str | int, ...]] = []
            if keyword in _NAMED_SCHEMAS and isinstance(value, Mapping | list):
                names = value if isinstance(value, Mapping) else range(len(value))
                steps += [(keyword, name) for name in names if _is_schema(value[name])]
            if keyword in _SCHEMA_KEYWORDS and _is_schema(value):
                steps.append((keyword,))
            found += [self.below(*way) for way in steps]
        return found

    def types(self) -> frozenset[str] | None:
        """The types that `type` allows, of the six and "integer"; None if it is absent."""
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
            "$ref", f"points to {reference!r}: only references into the schema are allowed"
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
            raise subschema.refused(
                "$ref", f"points to {reference!r}, which does not exist"
            ) from None
    return Subschema(pointer, value)


def _anchored(root: Subschema, subschema: Subschema, anchor: str) -> Subschema:
    """The schema of the document with that `$anchor`; what only looks like one is data."""
    pending = [root]
    while pending:
        one = pending.pop()
        if one.get("$anchor") == anchor:
            return one
        pending += one.inner()
    raise subschema.refused("$ref", f"leads to the anchor {anchor!r}, which is not there")


def escaped(step: str) -> str:
    """One step of a JSON pointer, escaped."""
    return step.replace("~", "~0").replace("/", "~1")


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool)


Subschemas = Sequence[Subschema]


def first_with(subschemas: Subschemas, *keywords: str) -> Subschema:
    """The first schema that has one of these keywords."""
    return next(subschema for subschema in subschemas if subschema.keywords() & set(keywords))
