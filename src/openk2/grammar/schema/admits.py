"""Whether a shape holds a whole value, and whether two unions can hold one together."""

from typing import Any

from openk2.grammar.schema.patterns import found
from openk2.grammar.schema.scalars import admits_scalar
from openk2.grammar.shapes import (
    NEVER,
    Alternatives,
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
    identity,
)

# A proof that goes deeper is given up: the branches are then taken to overlap.
MAX_PROOF_DEPTH = 8


def admits(shapes: Shapes, union: Alternatives, value: Any) -> bool:
    """Whether one of the alternatives holds the value."""
    return any(_holds(shapes, shape, value) for shape in union)


def node_of(record: ObjectShape, name: str) -> int:
    """The node of a property: named, matched by a pattern, or any further one."""
    for known, node in record.properties:
        if known == name:
            return node
    for pattern, node in record.patterns:
        if found(pattern, name):
            return node
    if any(found(pattern, name) for pattern in record.closed):
        return NEVER
    return record.additional


def disjoint(shapes: Shapes, first: Alternatives, second: Alternatives, depth: int = 0) -> bool:
    """Whether it is sure that no value is in both."""
    return all(_apart(shapes, one, other, depth) for one in first for other in second)


def _holds(shapes: Shapes, shape: ValueShape, value: Any) -> bool:
    if isinstance(shape, LiteralShape):
        return identity(value) in shape.identities
    if isinstance(shape, ArrayShape):
        return (
            isinstance(value, list)
            and shape.min_items <= len(value)
            and (shape.max_items is None or len(value) <= shape.max_items)
            and all(
                admits(shapes, shapes.node(shape.item(index)), item)
                for index, item in enumerate(value)
            )
        )
    if isinstance(shape, ObjectShape):
        return (
            isinstance(value, dict)
            and shape.required <= value.keys()
            and len(value) >= len(shape.required) + shape.min_extra
            and all(
                admits(shapes, shapes.node(node_of(shape, name)), item)
                for name, item in value.items()
            )
        )
    return admits_scalar((shape,), value)


def _apart(shapes: Shapes, one: ValueShape, other: ValueShape, depth: int) -> bool:
    if depth > MAX_PROOF_DEPTH:
        return False
    if isinstance(other, LiteralShape) and not isinstance(one, LiteralShape):
        one, other = other, one
    if isinstance(one, LiteralShape):
        return not any(_holds(shapes, other, value) for value in one.values)
    if isinstance(one, StringShape) and isinstance(other, StringShape):
        return _beyond(one.max_length, other.min_length) or _beyond(
            other.max_length, one.min_length
        )
    if isinstance(one, NumberShape) and isinstance(other, NumberShape):
        return one.high < other.low or other.high < one.low
    if isinstance(one, ArrayShape) and isinstance(other, ArrayShape):
        both = max(one.min_items, other.min_items)
        return (
            _beyond(one.max_items, other.min_items)
            or _beyond(other.max_items, one.min_items)
            or any(
                disjoint(shapes, shapes.node(one.item(i)), shapes.node(other.item(i)), depth + 1)
                for i in range(min(both, max(len(one.prefix), len(other.prefix)) + 1))
            )
        )
    if isinstance(one, ObjectShape) and isinstance(other, ObjectShape):
        return any(
            disjoint(
                shapes,
                shapes.node(node_of(one, name)),
                shapes.node(node_of(other, name)),
                depth + 1,
            )
            for name in sorted(one.required | other.required)
        )
    return True


def _beyond(most: int | None, least: int) -> bool:
    return most is not None and most < least
