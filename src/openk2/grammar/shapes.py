"""A JSON Schema's normal form: for every place, alternatives of one type each.

A schema becomes numbered nodes. A node is a tuple of alternatives whose children are node numbers,
so a recursive schema is finite. `schema` produces this form and everything else works on it.
"""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
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
    """A string. Lengths in characters; each of `patterns` is found in it, none of `absent`."""

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether nothing but its length counts."""
        return not self.patterns and not self.absent


@dataclass(frozen=True)
class NumberShape:
    """A number, or an integer, from low to high, both included; a multiple of `multiple`.

    low, high: infinite where there is no bound.
    """

    integer: bool
    low: float
    high: float
    multiple: Fraction | None = None


@dataclass(frozen=True)
class ArrayShape:
    """An array: item i is `prefix[i]` or, beyond it, `rest` (NEVER: no more).

    unique: no two items are equal; then there is no prefix, and `rest` has literals only.
    """

    prefix: tuple[int, ...]
    rest: int
    min_items: int
    max_items: int | None
    unique: bool = False

    def item(self, index: int) -> int:
        """The node of an item."""
        return self.prefix[index] if index < len(self.prefix) else self.rest


@dataclass(frozen=True)
class ObjectShape:
    """An object. Named properties are generated first, in this order, then other keys.

    properties: name -> node; NEVER: the name may not occur.
    extras: what a further key looks like -> node; no key is two of them.
    min_extra, max_extra: how many further keys.
    """

    properties: tuple[tuple[str, int], ...]
    required: frozenset[str]
    extras: tuple[tuple[StringShape, int], ...] = ()
    min_extra: int = 0
    max_extra: int | None = None

    @property
    def open(self) -> bool:
        """Whether further keys may occur."""
        return bool(self.extras) and self.max_extra != 0

    @cached_property
    def names(self) -> Mapping[str, int]:
        """The named properties' nodes."""
        return dict(self.properties)


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

    def literals(self, shape: ArrayShape) -> list[bytes]:
        """The JSON of the literals that the items of a `unique` array may be, shortest first."""
        alternatives = self.node(shape.rest)
        texts = {
            text for one in alternatives if isinstance(one, LiteralShape) for text in one.texts
        }
        return sorted((text.encode() for text in texts), key=lambda text: (len(text), text))


def children(shape: ValueShape) -> Iterator[int]:
    """The nodes that a shape refers to."""
    nodes: tuple[int, ...] = ()
    if isinstance(shape, ArrayShape):
        nodes = (*shape.prefix, shape.rest)
    elif isinstance(shape, ObjectShape):
        nodes = tuple(node for _, node in (*shape.properties, *shape.extras))
    return (node for node in nodes if node != NEVER)
