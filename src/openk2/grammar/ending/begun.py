"""Which alternatives an open array or object still fits, and which members may come next."""

from collections.abc import Iterator

from openk2.grammar.ending.partial import OpenArray, OpenObject
from openk2.grammar.schema import admits, node_of
from openk2.grammar.shapes import Alternatives, ArrayShape, ObjectShape, Shapes


def arrays(shapes: Shapes, union: Alternatives, level: OpenArray) -> list[ArrayShape]:
    """The arrays among the alternatives that the items so far fit."""
    found = [shape for shape in union if isinstance(shape, ArrayShape)]
    return found if len(found) == 1 else [one for one in found if _holds(shapes, one, level)]


def objects(shapes: Shapes, union: Alternatives, level: OpenObject) -> list[ObjectShape]:
    """The objects among the alternatives that the members so far fit."""
    found = [shape for shape in union if isinstance(shape, ObjectShape)]
    if len(found) == 1:
        return found
    return [
        one
        for one in found
        if all(
            admits(shapes, shapes.node(node_of(one, name)), value) for name, value in level.members
        )
    ]


def place(shape: ObjectShape, level: OpenObject) -> tuple[int, int]:
    """The position of the last named member (-1: none yet) and the number of other keys.

    A member counts as soon as its key is complete.
    """
    positions = {name: position for position, (name, _) in enumerate(shape.properties)}
    keys = [name for name, _ in level.members] + ([] if level.key is None else [level.key])
    extras = sum(key not in positions for key in keys)
    named = positions[keys[-1]] if keys and not extras else -1
    return (len(positions), extras) if extras else (named, 0)


def next_named(
    shapes: Shapes, shape: ObjectShape, last: int, extras: int
) -> Iterator[tuple[int, str, int]]:
    """Position, name and node of named members that may come next, up to a required one."""
    for position in range(last + 1, len(shape.properties) if not extras else 0):
        name, node = shape.properties[position]
        if shapes.node(node):
            yield position, name, node
        if name in shape.required:
            return


def _holds(shapes: Shapes, shape: ArrayShape, level: OpenArray) -> bool:
    items = enumerate(level.items)
    return all(admits(shapes, shapes.node(shape.item(index)), item) for index, item in items)
