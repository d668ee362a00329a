"""Expands combining keywords: a conjunction of schemas becomes alternatives without them.

`$ref` and `allOf` add schemas to a conjunction; `anyOf`, `oneOf`, `not` and the dependent keywords
split it. The assertions of each alternative can then be collected type by type (`reading`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from openk2.grammar.schema.denial import Option, denials, denied
from openk2.grammar.schema.keywords import (
    UNENFORCEABLE,
    UNEVALUATED,
    Subschema,
    escaped,
    referred,
)

# More combinations of branches than this are an attack or a mistake.
MAX_CHOICES = 256
# How many schemas may lead to one another without descending into the value.
MAX_CHAIN = 500
# Among the schemas that one was reached from: it comes of a `not`.
_DENIAL = Subschema("a denial", {})


# Two branches of a `oneOf`: its pointer and their indices, the smaller first.
Overlap = tuple[str, int, int]


def overlap(pointer: str, one: int, other: int) -> Overlap:
    """The two branches, in either order."""
    return pointer, min(one, other), max(one, other)


@dataclass(frozen=True)
class Choice:
    """One way to satisfy a conjunction.

    above: its schemas, each with those that it was reached from. branches: the branch taken of each
    `oneOf`, by that keyword's pointer.
    """

    above: Mapping[Subschema, frozenset[Subschema]] = field(default_factory=dict)
    branches: Mapping[str, int] = field(default_factory=dict)

    @property
    def subschemas(self) -> tuple[Subschema, ...]:
        """Its schemas, in their order."""
        return tuple(self.above)

    def evaluators(self) -> dict[Subschema, tuple[Subschema, ...]]:
        """Of each schema with `unevaluated...` itself and those that it applies to the value.

        What a denied schema says of members and items does not count.
        """
        return {
            one: tuple(self._applied_by(one)) for one in self.above if one.keywords() & UNEVALUATED
        }

    def _applied_by(self, subschema: Subschema) -> list[Subschema]:
        found, pending = {subschema}, [subschema]
        while pending:
            source = pending.pop()
            more = [s for s, above in self.above.items() if source in above and s not in found]
            found |= set(more)
            pending += more
        return [s for s, above in self.above.items() if s in found and _DENIAL not in above]


@dataclass(frozen=True)
class _Partial:
    choice: Choice
    pending: tuple[tuple[Subschema, frozenset[Subschema]], ...]


def choices(
    root: Subschema, conjunction: Iterable[Subschema], exclusive: frozenset[Overlap] = frozenset()
) -> list[Choice]:
    """Every way to satisfy all of these schemas.

    exclusive: branches of a `oneOf` of which each denies the other.
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
        if len(above) > MAX_CHAIN or len(partial.choice.above) > MAX_CHAIN:
            raise subschema.refused(
                _splitting(subschema), f"is nested in more than {MAX_CHAIN} schemas for one value"
            )
        if subschema.schema is False:
            continue
        known = partial.choice.above
        if subschema.schema is True or subschema in known:
            if subschema in known:
                known = {**known, subschema: known[subschema] | above}
            choice = replace(partial.choice, above=known)
            partials.append(_Partial(choice, tuple(rest)))
            continue
        for keyword in UNENFORCEABLE:
            if subschema.get(keyword) is not None and not _idle(subschema, keyword):
                raise subschema.refused(keyword, "cannot be enforced: leave it out")
        if subschema.pointer != root.pointer and _is_resource(subschema):
            raise subschema.refused("$id", "within a schema that has a $ref below is not followed")
        choice = replace(partial.choice, above={**known, subschema: above})
        above = above | {subschema}
        grown = [_Partial(choice, tuple(rest))]
        for options in _options(root, subschema, exclusive):
            grown = [_with(one, option, above) for one in grown for option in options]
            if len(grown) > MAX_CHOICES:
                break
        partials += reversed(grown)
        if len(partials) + len(whole) > MAX_CHOICES:
            raise subschema.refused(
                _splitting(subschema), f"leaves more than {MAX_CHOICES} combinations of branches"
            )
    return whole


def _with(partial: _Partial, option: Option, above: frozenset[Subschema]) -> _Partial:
    choice = partial.choice
    if option.one_of is not None:
        choice = replace(choice, branches={**choice.branches, option.one_of: option.branch})
    above |= {_DENIAL} if option.denies else set()
    added = tuple((subschema, above) for subschema in option.subschemas)
    return _Partial(choice, (*added, *partial.pending))


def _options(
    root: Subschema, subschema: Subschema, exclusive: frozenset[Overlap]
) -> Iterable[list[Option]]:
    """For each combining keyword of a schema the ways to satisfy it."""
    target = referred(root, subschema)
    if target is not None:
        yield [Option((target,))]
    if subschema.get("allOf") is not None:
        yield [Option(subschema.schemas("allOf"))]
    if subschema.get("anyOf") is not None:
        yield [Option((branch,)) for branch in subschema.schemas("anyOf")]
    if subschema.get("oneOf") is not None:
        yield _one_of(subschema, exclusive)
    if subschema.get("not") is not None:
        # A schema's own `not` was read exactly before any `oneOf` had to be told apart.
        ways = denials(root, subschema.below("not"), narrow=bool(exclusive))
        yield [replace(way, denies=True) for way in ways]
    if not _idle(subschema, "if"):
        yield _conditions(subschema)
    for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
        for name in subschema.mapping(keyword):
            yield _depending(subschema, keyword, name)


def _one_of(subschema: Subschema, exclusive: frozenset[Overlap]) -> list[Option]:
    pointer = f"{subschema.pointer}/oneOf"
    branches = subschema.schemas("oneOf")
    options: list[Option] = []
    for index, branch in enumerate(branches):
        others = [
            denied(other)
            for number, other in enumerate(branches)
            if overlap(pointer, index, number) in exclusive and number != index
        ]
        options.append(Option((branch, *others), pointer, index))
    return options


def _conditions(subschema: Subschema) -> list[Option]:
    """`if`: with `then`, or denied with `else`."""
    condition = subschema.below("if")
    then, other = (
        (subschema.below(keyword),) if subschema.get(keyword) is not None else ()
        for keyword in ("then", "else")
    )
    return [Option((condition, *then)), Option((denied(condition), *other))]


def _depending(subschema: Subschema, keyword: str, name: str) -> list[Option]:
    """What a property demands beside it: it is absent, or there with that."""
    label = f"{keyword}/{escaped(name)}"
    # Of a value that is no object too: it has no properties.
    absent = subschema.made(f"{label} absent", {"properties": {name: False}})
    there = {"type": "object", "required": [name]}
    if isinstance(subschema.mapping(keyword)[name], list):
        there["required"] = [name, *subschema.below_names(keyword, name)]
        return [Option((absent,)), Option((subschema.made(f"{label} there", there),))]
    wanted = subschema.below(keyword, name)
    return [Option((absent,)), Option((subschema.made(f"{label} there", there), wanted))]


def _idle(subschema: Subschema, keyword: str) -> bool:
    """Whether an unenforceable keyword has no effect here."""
    if keyword == "if":
        parts = (subschema.get(keyword) for keyword in ("then", "else"))
        return subschema.get("if") is None or all(part is None for part in parts)
    return False


def _is_resource(subschema: Subschema) -> bool:
    """Whether references below this schema are relative to it, not to the whole document."""
    identifier = subschema.text("$id")
    return bool(identifier) and '"$ref"' in json.dumps(subschema.schema)


def _splitting(subschema: Subschema) -> str:
    names = ("$ref", "anyOf", "oneOf", "dependentRequired", "dependentSchemas", "not", "if")
    return next((name for name in names if subschema.get(name) is not None), "allOf")
