"""Combining keywords spelt out: a conjunction of schemas becomes a choice of plain conjunctions.

`$ref` and `allOf` add schemas to a conjunction, `anyOf` and its like split it. What comes out has
no such keyword left to obey, so its assertions can be collected type by type (`reading`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openk2.grammar.schema.keywords import UNENFORCEABLE, Place, referred

# More than this many ways to satisfy one schema is an attack or a mistake.
MAX_CHOICES = 256
# Schemas reached from one another without going into the value.
MAX_CHAIN = 500


@dataclass(frozen=True)
class Choice:
    """One way to satisfy a conjunction.

    places: its schemas. branches: the branch taken of each `oneOf`, by the pointer of that keyword.
    """

    places: tuple[Place, ...] = ()
    branches: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Partial:
    choice: Choice
    pending: tuple[tuple[Place, frozenset[Place]], ...]


def choices(root: Place, conjunction: Iterable[Place]) -> list[Choice]:
    """Every way to satisfy all of these schemas.

    Raises GrammarError for a keyword that cannot be enforced, a reference that leads nowhere or
    to itself, and for more than MAX_CHOICES ways.
    """
    whole: list[Choice] = []
    partials = [_Partial(Choice(), tuple((place, frozenset()) for place in conjunction))]
    while partials:
        partial = partials.pop()
        if not partial.pending:
            whole.append(partial.choice)
            continue
        (place, above), *rest = partial.pending
        if place in above:
            raise place.refused("$ref", "leads back to itself")
        if len(above) > MAX_CHAIN:
            raise place.refused(_splitting(place), f"is the end of {MAX_CHAIN} schemas in one")
        if place.schema is False:
            continue
        if place.schema is True or place in partial.choice.places:
            partials.append(replace(partial, pending=tuple(rest)))
            continue
        for keyword in UNENFORCEABLE:
            if place.get(keyword) is not None and not _idle(place, keyword):
                raise place.refused(keyword, "cannot be enforced: leave it out")
        if place.pointer != root.pointer and _is_resource(place):
            raise place.refused("$id", "within a schema that has a $ref below is not followed")
        above = above | {place}
        grown = [
            _Partial(replace(partial.choice, places=(*partial.choice.places, place)), tuple(rest))
        ]
        for options in _options(root, place):
            grown = [_with(one, option, above) for one in grown for option in options]
        partials += reversed(grown)
        if len(partials) + len(whole) > MAX_CHOICES:
            raise place.refused(
                _splitting(place), f"leaves more than {MAX_CHOICES} combinations of branches"
            )
    return whole


@dataclass(frozen=True)
class _Option:
    """Schemas to add to a conjunction; for a branch of a `oneOf`, which."""

    places: tuple[Place, ...]
    one_of: str | None = None
    branch: int = 0


def _with(partial: _Partial, option: _Option, above: frozenset[Place]) -> _Partial:
    choice = partial.choice
    if option.one_of is not None:
        choice = replace(choice, branches={**choice.branches, option.one_of: option.branch})
    added = tuple((place, above) for place in option.places)
    return _Partial(choice, (*added, *partial.pending))


def _options(root: Place, place: Place) -> Iterable[list[_Option]]:
    """For each combining keyword of a schema the ways to satisfy it."""
    target = referred(root, place)
    if target is not None:
        yield [_Option((target,))]
    if place.get("allOf") is not None:
        yield [_Option(place.schemas("allOf"))]
    if place.get("anyOf") is not None:
        yield [_Option((branch,)) for branch in place.schemas("anyOf")]
    if place.get("oneOf") is not None:
        pointer = f"{place.pointer}/oneOf"
        yield [
            _Option((branch,), pointer, index)
            for index, branch in enumerate(place.schemas("oneOf"))
        ]
    if place.get("not") is not None:
        yield _denied(place)
    for name in place.mapping("dependentRequired"):
        others = place.below("dependentRequired").names(name)
        yield _when_there(place, f"dependentRequired/{name}", name, {"required": [name, *others]})
    for name in place.mapping("dependentSchemas"):
        yield [
            _without(place, f"dependentSchemas/{name}", name),
            _Option(
                (
                    place.made(f"dependentSchemas/{name} there", {"required": [name]}),
                    place.below("dependentSchemas", name),
                )
            ),
        ]


def _when_there(place: Place, label: str, name: str, schema: Mapping[str, Any]) -> list[_Option]:
    return [_without(place, label, name), _Option((place.made(f"{label} there", schema),))]


def _without(place: Place, label: str, name: str) -> _Option:
    return _Option((place.made(f"{label} absent", {"properties": {name: False}}),))


def _denied(place: Place) -> list[_Option]:
    """The ways to satisfy `not`, for the few schemas whose opposite is a schema."""
    inner = place.below("not")
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
        return [_Option((place.made("not", {"type": left}),))]
    required = inner.names("required")
    if set(inner.schema) == {"required"} and required:
        return [
            _Option((place.made(f"not {name}", {"type": "object", "properties": {name: False}}),))
            for name in required
        ]
    raise place.refused("not", "cannot be enforced for this schema: say what is allowed instead")


def _idle(place: Place, keyword: str) -> bool:
    """Whether a keyword that cannot be enforced says nothing here."""
    if keyword == "if":
        return place.get("then") is None and place.get("else") is None
    if keyword == "contains":
        return place.count("minContains") == 0 and place.get("maxContains") is None
    return keyword == "unevaluatedItems" and place.get(keyword) is True


def _is_resource(place: Place) -> bool:
    """Whether references below this schema mean places in it and not in the whole."""
    identifier = place.text("$id")
    return bool(identifier) and '"$ref"' in json.dumps(place.schema)


def _splitting(place: Place) -> str:
    names = ("$ref", "anyOf", "oneOf", "dependentRequired", "dependentSchemas", "not")
    return next((name for name in names if place.get(name) is not None), "allOf")
