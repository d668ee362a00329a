"""JSON Schema reduced to what a value may look like: alternatives of one type each.

A schema becomes numbered nodes. A node is a union of alternatives, whose children are nodes, so
recursive schemas are finite. Everything after the reading of a schema (`reading`) works on this.
"""

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

NEVER = -1


def identity(value: Any) -> Hashable:
    """What two JSON values have in common if and only if they are equal: 1 is 1.0 and not true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *map(identity, value))
    if isinstance(value, dict):
        return ("object", frozenset((key, identity(item)) for key, item in value.items()))
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LiteralShape:
    """One of these scalars."""

    values: tuple[Any, ...]

    # True == 1 in Python and not in JSON.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiteralShape) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Their JSON, as it is written."""
        return tuple(json.dumps(value, ensure_ascii=False) for value in self.values)

    @cached_property
    def identities(self) -> frozenset[Hashable]:
        """What a value equal to one of them has in common with it."""
        return frozenset(map(identity, self.values))


@dataclass(frozen=True)
class StringShape:
    """A string. Lengths in characters; every pattern is found in it, every format fits it."""

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether nothing but its length counts."""
        return not self.patterns and not self.formats


@dataclass(frozen=True)
class NumberShape:
    """A number, or an integer, from low to high, both included."""

    integer: bool
    low: float
    high: float
    multiple: float | None = None


@dataclass(frozen=True)
class ArrayShape:
    """An array: item i is `prefix[i]` or, beyond it, `rest` (NEVER: no more)."""

    prefix: tuple[int, ...]
    rest: int
    min_items: int
    max_items: int | None

    def item(self, index: int) -> int:
        """The node of an item."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True)
class ObjectShape:
    """An object. It is written in this order: the named properties, then further keys.

    properties: name -> node; NEVER: the name may not occur.
    patterns: a further key that the pattern is found in -> node. No key has two of them.
    additional: the node of every other further key; NEVER: there is none.
    closed: patterns that no further key may match.
    min_extra, max_extra: how many further keys.
    """

    properties: tuple[tuple[str, int], ...]
    required: frozenset[str]
    patterns: tuple[tuple[str, int], ...]
    additional: int
    closed: tuple[str, ...] = ()
    min_extra: int = 0
    max_extra: int | None = None

    @property
    def open(self) -> bool:
        """Whether further keys may occur."""
        return bool(self.patterns or self.additional != NEVER) and self.max_extra != 0


ScalarShape = StringShape | NumberShape
ValueShape = LiteralShape | ScalarShape | ArrayShape | ObjectShape
Alternatives = tuple[ValueShape, ...]


@dataclass(frozen=True)
class Shapes:
    """The nodes of one schema. root: the number of its own node."""

    nodes: Sequence[Alternatives]
    root: int

    def node(self, number: int) -> Alternatives:
        """The alternatives of a node, none of NEVER."""
        return () if number == NEVER else self.nodes[number]
