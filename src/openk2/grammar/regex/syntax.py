"""The syntax tree of a regular expression. Groups leave no trace in it but their nesting."""

from collections.abc import Iterator
from dataclasses import dataclass

from openk2.grammar.regex.characters import Characters


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    characters: Characters


@dataclass(frozen=True, slots=True)
class Sequence:
    """All of these, one after another; nothing, if there are none."""

    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of these."""

    branches: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repeat:
    """So many times; most: None for no end."""

    item: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A look-ahead: what follows begins with the item, or does not."""

    item: "Node"
    negated: bool


@dataclass(frozen=True, slots=True)
class Start:
    """`^`."""


@dataclass(frozen=True, slots=True)
class End:
    """`$`."""


@dataclass(frozen=True, slots=True)
class Boundary:
    r"""`\b`, or `\B`."""

    negated: bool


Node = Chars | Sequence | Alternation | Repeat | Look | Start | End | Boundary
NOTHING = Sequence(())


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node."""
    if isinstance(node, Sequence):
        return node.items
    if isinstance(node, Alternation):
        return node.branches
    return (node.item,) if isinstance(node, Repeat | Look) else ()


def parts(node: Node) -> Iterator[Node]:
    """The node and everything in it."""
    pending = [node]
    while pending:
        one = pending.pop()
        yield one
        pending += children(one)


def is_anchored(node: Node) -> bool:
    """Whether it can only match at the start of the text."""
    while isinstance(node, Sequence) and node.items:
        if any(isinstance(item, Start) for item in node.items[:1]):
            return True
        first = next((item for item in node.items if not isinstance(item, Look)), None)
        if first is None:
            return False
        node = first
    if isinstance(node, Alternation):
        return bool(node.branches) and all(map(is_anchored, node.branches))
    return isinstance(node, Start)
