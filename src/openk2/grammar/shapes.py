"""A JSON Schema's normal form: for every place, alternatives of one type each.

A schema becomes numbered nodes. A node is a tuple of alternatives whose children are node numbers,
so a recursive schema is finite. `schema` produces this form and everything else works on it.
"""

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

NEVER = -1


def identity(value: Any) -> Hashable:
    """A key that two JSON values share if and only if they are equal: 1 is 1.0 but not true."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", *map(identity, value))
    if isinstance(value, dict):
        return ("object", frozenset((key, identity(item)) for key, item in value.items()))
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class LiteralShape:
    """One of these scalars: null, booleans, numbers or strings."""

    values: tuple[Any, ...]

    # True == 1 in Python and not in JSON.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, LiteralShape) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Their JSON text, as it is generated."""
        return tuple(json.dumps(value, ensure_ascii=False) for value in self.values)

    @cached_property
    def identities(self) -> frozenset[Hashable]:
        """The `identity` of each."""
        return frozenset(map(identity, self.values))


@dataclass(frozen=True)
class StringShape:
    """A string. Lengths are in characters; it must match every pattern and every format."""

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether only its length is constrained."""
        return not self.patterns and not self.formats


@dataclass(frozen=True)
class NumberShape:
    """A number, or an integer, from low to high inclusive; a multiple of `multiple` if given."""

    integer: bool
    low: float
    high: float
    multiple: float | None = None


@dataclass(frozen=True)
class ArrayShape:
    """An array: item i has the node `prefix[i]` or, after the prefix, `rest` (NEVER: no more)."""

    prefix: tuple[int, ...]
    rest: int
    min_items: int
    max_items: int | None

    def item(self, index: int) -> int:
        """The node of an item."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True)
class ObjectShape:
    """An object. Named properties are generated first, in this order, then other keys.

    properties: (name, node); NEVER: the name may not occur.
    patterns: (pattern, node) of the other keys that match the pattern. No key matches two.
    additional: the node of every remaining key; NEVER: there is none.
    closed: patterns that no other key may match.
    min_extra, max_extra: how many other keys there may be.
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
        """Whether other keys may occur."""
        return bool(self.patterns or self.additional != NEVER) and self.max_extra != 0


ScalarShape = StringShape | NumberShape
ValueShape = LiteralShape | ScalarShape | ArrayShape | ObjectShape
Alternatives = tuple[ValueShape, ...]


@dataclass(frozen=True)
class Shapes:
    """The nodes of one schema. root: the number of the whole value's node."""

    nodes: Sequence[Alternatives]
    root: int

    def node(self, number: int) -> Alternatives:
        """The alternatives of a node; none for NEVER."""
        return () if number == NEVER else self.nodes[number]
