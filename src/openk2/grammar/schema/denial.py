"""The opposite of a schema, as a choice of schemas.

`not`, `if` and a `oneOf` whose branches overlap ask for it. Of each keyword the opposite is a
schema of its own; of several keywords it is a choice of these.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from openk2.grammar.error import GrammarError
from openk2.grammar.schema.keywords import ASSERTIONS, DENIED, TYPES, Subschema, referred

# Of a `oneOf` that is denied every two branches are a way.
MAX_BRANCHES = 8


@dataclass(frozen=True)
class Option:
    """Schemas to add to a conjunction; for a branch of a `oneOf`, which.

    denies: whether they come of a `not`.
    """

    subschemas: tuple[Subschema, ...]
    one_of: str | None = None
    branch: int = 0
    denies: bool = False


def denied(subschema: Subschema) -> Subschema:
    """The schema of all values that one does not hold."""
    return Subschema(f"{DENIED}{subschema.pointer}", {"not": subschema.schema})


def denials(root: Subschema, inner: Subschema, *, narrow: bool = False) -> list[Option]:
    """The ways not to satisfy a schema.

    narrow: leave out the ways that are no schema, as long as others are left; what satisfies those
    is valid, but not all that is valid.
    Raises GrammarError for a way that is no schema.
    """
    if isinstance(inner.schema, bool):
        return [] if inner.schema else [Option(())]
    ways: list[Option] = []
    errors: list[GrammarError] = []
    for keyword in inner.schema:
        try:
            ways += _denials_of(root, inner, keyword)
        except GrammarError as error:
            errors.append(error)
    if errors and not (narrow and ways):
        raise errors[0]
    return ways


def _denials_of(root: Subschema, inner: Subschema, keyword: str) -> list[Option]:
    opposite = _OPPOSITES.get(keyword)
    if opposite is not None:
        return opposite(root, inner)
    if keyword in _COUNTS:
        return _of_count(inner, keyword)
    if keyword in _IRREVERSIBLE:
        raise inner.refused(keyword, "cannot be denied: say what is allowed instead")
    return []


def _made(inner: Subschema, label: str, *schemas: Mapping[str, Any]) -> Option:
    return Option(
        tuple(
            Subschema(f"{DENIED}{inner.pointer}/{label} {number}", schema)
            for number, schema in enumerate(schemas)
        )
    )


def _of_type(root: Subschema, inner: Subschema) -> list[Option]:
    types = inner.types() or frozenset()
    left = [name for name in TYPES if name not in types]
    if "integer" in types and "number" in left:
        raise inner.refused("type", 'with "integer" cannot be denied: no type is left for 2.5')
    return [_made(inner, "type", {"type": left})] if left else []


def _of_values(root: Subschema, inner: Subschema) -> list[Option]:
    keyword = "const" if "const" in inner.keywords() else "enum"
    values = inner.get(keyword)
    values = [values] if keyword == "const" else values
    if not isinstance(values, list):
        raise inner.refused(keyword, "must be a list of values")
    return [Option((Subschema(f"{DENIED}{inner.pointer}/{keyword}", {}, excluded=tuple(values)),))]


def _of_required(root: Subschema, inner: Subschema) -> list[Option]:
    return [
        _made(inner, f"required/{name}", {"type": "object", "properties": {name: False}})
        for name in inner.names("required")
    ]


def _of_properties(root: Subschema, inner: Subschema) -> list[Option]:
    return [
        _made(
            inner,
            f"properties/{name}",
            {"type": "object", "required": [name], "properties": {name: {"not": schema}}},
        )
        for name, schema in inner.mapping("properties").items()
    ]


def _of_items(root: Subschema, inner: Subschema) -> list[Option]:
    """One item is wrong. Of earlier drafts' lists each item has its own way, and the others too."""
    prefix, rest = inner.items()
    ways = [
        _made(
            inner,
            f"prefixItems/{index}",
            {
                "type": "array",
                "minItems": index + 1,
                "prefixItems": [*[True] * index, {"not": one.schema}],
            },
        )
        for index, one in enumerate(prefix)
    ]
    if rest is not None and prefix:
        raise inner.refused("items", "after prefixItems cannot be denied")
    if rest is not None:
        ways.append(_made(inner, "items", {"type": "array", "contains": {"not": rest.schema}}))
    return ways


def _of_contains(root: Subschema, inner: Subschema) -> list[Option]:
    if inner.keywords() & {"minContains", "maxContains"}:
        raise inner.refused("contains", "that is counted cannot be denied")
    schema = {"type": "array", "items": {"not": inner.get("contains")}}
    return [_made(inner, "contains", schema)]


def _of_pattern(root: Subschema, inner: Subschema) -> list[Option]:
    pointer = f"{DENIED}{inner.pointer}/pattern"
    return [Option((Subschema(pointer, {"type": "string"}, absent=inner.text("pattern")),))]


def _of_not(root: Subschema, inner: Subschema) -> list[Option]:
    return [Option((inner.below("not"),))]


def _of_any(root: Subschema, inner: Subschema) -> list[Option]:
    return [Option(tuple(map(denied, inner.schemas("anyOf"))))]


def _of_one(root: Subschema, inner: Subschema) -> list[Option]:
    """None of the branches, or two of them."""
    branches = inner.schemas("oneOf")
    if len(branches) > MAX_BRANCHES:
        raise inner.refused("oneOf", f"of more than {MAX_BRANCHES} branches cannot be denied")
    return [Option(tuple(map(denied, branches))), *map(Option, combinations(branches, 2))]


def _of_all(root: Subschema, inner: Subschema) -> list[Option]:
    return [Option((denied(branch),)) for branch in inner.schemas("allOf")]


def _of_reference(root: Subschema, inner: Subschema) -> list[Option]:
    target = referred(root, inner)
    return [] if target is None else [Option((denied(target),))]


def _of_count(inner: Subschema, keyword: str) -> list[Option]:
    kind, other, step = _COUNTS[keyword]
    bound = inner.number(keyword) or 0
    if step is not None and bound + step < 0:
        return []
    beyond = bound if step is None else int(bound) + step
    return [_made(inner, keyword, {"type": kind, other: beyond})]


# Type, opposite keyword and step of each bound.
_COUNTS: Mapping[str, tuple[str, str, int | None]] = {
    "minimum": ("number", "exclusiveMaximum", None),
    "maximum": ("number", "exclusiveMinimum", None),
    "exclusiveMinimum": ("number", "maximum", None),
    "exclusiveMaximum": ("number", "minimum", None),
    "minLength": ("string", "maxLength", -1),
    "maxLength": ("string", "minLength", 1),
    "minItems": ("array", "maxItems", -1),
    "maxItems": ("array", "minItems", 1),
    "minProperties": ("object", "maxProperties", -1),
    "maxProperties": ("object", "minProperties", 1),
}
_OPPOSITES: Mapping[str, Callable[[Subschema, Subschema], list[Option]]] = {
    "type": _of_type,
    "const": _of_values,
    "enum": _of_values,
    "required": _of_required,
    "properties": _of_properties,
    "items": _of_items,
    "prefixItems": _of_items,
    "contains": _of_contains,
    "pattern": _of_pattern,
    "not": _of_not,
    "anyOf": _of_any,
    "allOf": _of_all,
    "oneOf": _of_one,
    "$ref": _of_reference,
}
_IRREVERSIBLE = (
    ASSERTIONS
    | {"if", "dependentRequired", "dependentSchemas", "dependencies"}
    | {"$dynamicRef", "$recursiveRef", "unevaluatedItems"}
) - {"format"}
