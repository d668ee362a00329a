"""Combining keywords spelt out: a conjunction of schemas becomes a choice of plain conjunctions.

`$ref` and `allOf` add schemas to a conjunction, `anyOf` and its like split it. What comes out has
no such keyword left to obey, so its assertions can be collected type by type (`reading`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openk2.grammar.schema.keywords import UNENFORCEABLE, Subschema, referred

# More than this many ways to satisfy one schema is an attack or a mistake.
MAX_CHOICES = 256
# Schemas reached from one another without going into the value.
MAX_CHAIN = 500


@dataclass(frozen=True)
class Choice:
    """One way to satisfy a conjunction.

    subschemas: its schemas. branches: the branch taken of each `oneOf`, by that keyword's pointer.
    """

    subschemas: tuple[Subschema, ...] = ()
    branches: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Partial:
    choice: Choice
    pending: tuple[tuple[Subschema, frozenset[Subschema]], ...]


def choices(root: Subschema, conjunction: Iterable[Subschema]) -> list[Choice]:
    """Every way to satisfy all of these schemas.

    Raises GrammarError for a keyword that cannot be enforced, a reference that leads nowhere or
    to itself, and for more than MAX_CHOICES ways.
    """
    whole: list[Choice] = []
    partials = [_Partial(Choice(), tuple((subschema, frozenset()) for subschema in conjunction))]
    while partials:
        partial = partials.pop()
        if not partial.pending:
            whole.append(partial.choice)
            continue
        (subschema, above), *rest = partial.pending
        if subschema in above:
            raise subschema.refused("$ref", "leads back to itself")
        if len(above) > MAX_CHAIN:
            raise subschema.refused(
                _splitting(subschema), f"is the end of {MAX_CHAIN} schemas in one"
            )
        if subschema.schema is False:
            continue
        if subschema.schema is True or subschema in partial.choice.subschemas:
            partials.append(replace(partial, pending=tuple(rest)))
            continue
        for keyword in UNENFORCEABLE:
            if subschema.get(keyword) is not None and not _idle(subschema, keyword):
                raise subschema.refused(keyword, "cannot be enforced: leave it out")
        if subschema.pointer != root.pointer and _is_resource(subschema):
            raise subschema.refused("$id", "within a schema that has a $ref below is not followed")
        above = above | {subschema}
        grown = [
            _Partial(
                replace(partial.choice, subschemas=(*partial.choice.subschemas, subschema)),
                tuple(rest),
            )
        ]
        for options in _options(root, subschema):
            grown = [_with(one, option, above) for one in grown for option in options]
        partials += reversed(grown)
        if len(partials) + len(whole) > MAX_CHOICES:
            raise subschema.refused(
                _splitting(subschema), f"leaves more than {MAX_CHOICES} combinations of branches"
            )
    return whole


@dataclass(frozen=True)
class _Option:
    """Schemas to add to a conjunction; for a branch of a `oneOf`, which."""

    subschemas: tuple[Subschema, ...]
    one_of: str | None = None
    branch: int = 0


def _with(partial: _Partial, option: _Option, above: frozenset[Subschema]) -> _Partial:
    choice = partial.choice
    if option.one_of is not None:
        choice = replace(choice, branches={**choice.branches, option.one_of: option.branch})
    added = tuple((subschema, above) for subschema in option.subschemas)
    return _Partial(choice, (*added, *partial.pending))


def _options(root: Subschema, subschema: Subschema) -> Iterable[list[_Option]]:
    """For each combining keyword of a schema the ways to satisfy it."""
    target = referred(root, subschema)
    if target is not None:
        yield [_Option((target,))]
    if subschema.get("allOf") is not None:
        yield [_Option(subschema.schemas("allOf"))]
    if subschema.get("anyOf") is not None:
        yield [_Option((branch,)) for branch in subschema.schemas("anyOf")]
    if subschema.get("oneOf") is not None:
        pointer = f"{subschema.pointer}/oneOf"
        yield [
            _Option((branch,), pointer, index)
            for index, branch in enumerate(subschema.schemas("oneOf"))
        ]
    if subschema.get("not") is not None:
        yield _denied(subschema)
    for name in subschema.mapping("dependentRequired"):
        others = subschema.below("dependentRequired").names(name)
        yield _when_there(
            subschema, f"dependentRequired/{name}", name, {"required": [name, *others]}
        )
    for name in subschema.mapping("dependentSchemas"):
        yield [
            _without(subschema, f"dependentSchemas/{name}", name),
            _Option(
                (
                    subschema.made(f"dependentSchemas/{name} there", {"required": [name]}),
                    subschema.below("dependentSchemas", name),
                )
            ),
        ]


def _when_there(
    subschema: Subschema, label: str, name: str, schema: Mapping[str, Any]
) -> list[_Option]:
    return [_without(subschema, label, name), _Option((subschema.made(f"{label} there", schema),))]


def _without(subschema: Subschema, label: str, name: str) -> _Option:
    return _Option((subschema.made(f"{label} absent", {"properties": {name: False}}),))


def _denied(subschema: Subschema) -> list[_Option]:
    """The ways to satisfy `not`, for the few schemas whose opposite is a schema."""
    inner = subschema.below("not")
    if inner.schema is False:
        return [_Option(())]
    if inner.schema is True or not inner.schema:
        return []
    types = inner.types()
    if set(inner.schema) == {"type"} and types is not None and "integer" not in types:
        left = [
            name
            for name in ("null", "boolean", "number", "string", "array", "object")
            if name not in types
        ]
        return [_Option((subschema.made("not", {"type": left}),))]
    required = inner.names("required")
    if set(inner.schema) == {"required"} and required:
        return [
            _Option(
                (subschema.made(f"not {name}", {"type": "object", "properties": {name: False}}),)
            )
            for name in required
        ]
    raise subschema.refused(
        "not", "cannot be enforced for this schema: say what is allowed instead"
    )


def _idle(subschema: Subschema, keyword: str) -> bool:
    """Whether a keyword that cannot be enforced says nothing here."""
    if keyword == "if":
        return subschema.get("then") is None and subschema.get("else") is None
    if keyword == "contains":
        return subschema.count("minContains") == 0 and subschema.get("maxContains") is None
    return keyword == "unevaluatedItems" and subschema.get(keyword) is True


def _is_resource(subschema: Subschema) -> bool:
    """Whether references below this schema are relative to it, not to the whole document."""
    identifier = subschema.text("$id")
    return bool(identifier) and '"$ref"' in json.dumps(subschema.schema)


def _splitting(subschema: Subschema) -> str:
    names = ("$ref", "anyOf", "oneOf", "dependentRequired", "dependentSchemas", "not")
    return next((name for name in names if subschema.get(name) is not None), "allOf")
