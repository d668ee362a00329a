"""Whether a whole value fits a shape, and whether two nodes have a value in common."""

from typing import Any

from openk2.grammar.regex import PatternError
from openk2.grammar.schema.least_scalar import MAX_COUNTED
from openk2.grammar.schema.patterns import shortest
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

# Deeper proofs are given up, and the branches are assumed to overlap.
MAX_PROOF_DEPTH = 8


def admits(shapes: Shapes, union: Alternatives, value: Any) -> bool:
    """Whether the value fits one of the alternatives."""
    return any(_holds(shapes, shape, value) for shape in union)


def node_of(record: ObjectShape, name: str) -> int:
    """The node of a property: named, matched by a pattern, or any further one."""
    if name in record.names:
        return record.names[name]
    if record.max_extra == 0:
        return NEVER
    return next((node for key, node in record.extras if admits_scalar((key,), name)), NEVER)


def disjoint(shapes: Shapes, first: Alternatives, second: Alternatives, depth: int = 0) -> bool:
    """Whether it is certain that no value fits both; False if it cannot be proved."""
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
        return isinstance(value, dict) and _holds_members(shapes, shape, value)
    return admits_scalar((shape,), value)


def _holds_members(shapes: Shapes, shape: ObjectShape, members: dict[str, Any]) -> bool:
    extras = len(members.keys() - {name for name, _ in shape.properties})
    return (
        shape.required <= members.keys()
        and shape.min_extra <= extras
        and (shape.max_extra is None or extras <= shape.max_extra)
        and all(
            admits(shapes, shapes.node(node_of(shape, name)), item)
            for name, item in members.items()
        )
    )


def _apart(shapes: Shapes, one: ValueShape, other: ValueShape, depth: int) -> bool:
    if depth > MAX_PROOF_DEPTH:
        return False
    if isinstance(other, LiteralShape) and not isinstance(one, LiteralShape):
        one, other = other, one
    if isinstance(one, LiteralShape):
        return not any(_holds(shapes, other, value) for value in one.values)
    if isinstance(one, StringShape) and isinstance(other, StringShape):
        return _no_text_is_both(one, other)
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


def _no_text_is_both(one: StringShape, other: StringShape) -> bool:
    least = max(one.min_length, other.min_length)
    bounds = [most for most in (one.max_length, other.max_length) if most is not None]
    most = min(bounds, default=None)
    if most is not None and most < least:
        return True
    if one.plain and other.plain:
        return False
    try:
        patterns, absent = (*one.patterns, *other.patterns), (*one.absent, *other.absent)
        return shortest(patterns, absent, min(least, MAX_COUNTED), most) is None
    except PatternError:
        return False


def _beyond(most: int | None, least: int) -> bool:
    return most is not None and most < least
