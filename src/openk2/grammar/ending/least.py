"""`Least`: the shortest value of every node: all sizes at once, texts on demand."""

import json
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from openk2.grammar.error import GrammarError
from openk2.grammar.schema import least_size, least_text, whole_words
from openk2.grammar.shapes import (
    NEVER,
    ArrayShape,
    LiteralShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
    children,
)

# Where the shortest value itself nests deeper, or is longer, no answer could hold it.
MAX_DEPTH = 64  # as what is written: `course_mask`
MAX_BYTES = 200_000


class Least:
    """Shortest values of the nodes of one schema.

    Raises GrammarError if a string or number cannot be enforced, or if no value is valid.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._keys: dict[int, list[tuple[bytes, int]]] = {}  # by the identity of the record
        self._sizes: list[float] = [math.inf] * len(shapes.nodes)
        parents: list[list[int]] = [[] for _ in shapes.nodes]
        for number, alternatives in enumerate(shapes.nodes):
            for child in {child for shape in alternatives for child in children(shape)}:
                parents[child].append(number)
        # Children are numbered after their parents, mostly.
        pending = deque(reversed(range(len(shapes.nodes))))
        while pending:
            number = pending.popleft()
            size = min((self.size_of(shape) for shape in shapes.nodes[number]), default=math.inf)
            if size < self._sizes[number]:
                self._sizes[number] = size
                pending += parents[number]
        if self.size(shapes.root) == math.inf:
            raise GrammarError("has no value that can be generated")

    def size(self, node: int) -> float:
        """How many bytes the shortest value has; infinite if there is none."""
        return math.inf if node == NEVER else self._sizes[node]

    def text(self, node: int, depth: int = 0) -> bytes:
        """The shortest value's JSON. Raises GrammarError if it is too long or too deep."""
        if depth > MAX_DEPTH or self.size(node) > MAX_BYTES:
            raise GrammarError(
                f"has no value of less than {MAX_BYTES:,} bytes and {MAX_DEPTH} levels"
            )
        shape = min(self._shapes.node(node), key=self.size_of)
        if isinstance(shape, LiteralShape):
            return min(shape.texts, key=lambda text: len(text.encode())).encode()
        if isinstance(shape, ArrayShape):
            items = [self.text(shape.item(i), depth + 1) for i in range(shape.min_items)]
            if shape.unique:
                items = self._shapes.literals(shape)[: shape.min_items]
            return b"[" + b",".join(items) + b"]"
        if isinstance(shape, ObjectShape):
            return b"{" + b",".join(self.members(shape, -1, 0, depth)) + b"}"
        least = least_text(shape)
        assert least is not None, shape
        return least

    def members(self, record: ObjectShape, after: int, extras: int, depth: int = 0) -> list[bytes]:
        """The members still missing: required ones after position `after`, then other keys.

        extras: how many other keys there are already.
        """
        owed = [
            self.member(name, node, depth)
            for name, node in record.properties[after + 1 :]
            if name in record.required
        ]
        if extras < record.min_extra:
            extra = self.extra(record, depth)
            assert extra is not None, record
            owed.append(extra)
        return owed

    def member(self, name: str, node: int, depth: int = 0) -> bytes:
        """A named member with its shortest value."""
        return quoted(name) + b":" + self.text(node, depth + 1)

    def extra(self, record: ObjectShape, depth: int = 0) -> bytes | None:
        """The shortest member with another key; None if there can be none."""
        choices = self._extras(record)
        if not choices:
            return None
        key, node = min(choices, key=lambda choice: len(choice[0]) + self.size(choice[1]))
        return key + b":" + self.text(node, depth + 1)

    def _extras(self, record: ObjectShape) -> list[tuple[bytes, int]]:
        """The shortest key of each kind of further members, with its node."""
        if not record.open:
            return []
        if id(record) not in self._keys:
            self._keys[id(record)] = [
                (quoted(name), node)
                for key, node in record.extras
                if (name := _free_name(key, record)) is not None
            ]
        return [choice for choice in self._keys[id(record)] if self.size(choice[1]) < math.inf]

    def size_of(self, shape: ValueShape) -> float:
        """How many bytes the shortest value of one alternative has; infinite if there is none."""
        if isinstance(shape, LiteralShape):
            return min(len(text.encode()) for text in shape.texts)
        if isinstance(shape, ArrayShape) and shape.unique:
            texts = self._shapes.literals(shape)
            too_few = len(texts) < shape.min_items
            return math.inf if too_few else 2 + _joined([*map(len, texts[: shape.min_items])], 0, 0)
        if isinstance(shape, ArrayShape):
            return 2 + _joined(
                [self.size(node) for node in shape.prefix[: shape.min_items]],
                max(0, shape.min_items - len(shape.prefix)),
                self.size(shape.rest),
            )
        if isinstance(shape, ObjectShape):
            sizes = [
                len(quoted(name)) + 1 + self.size(node)
                for name, node in shape.properties
                if name in shape.required
            ]
            if shape.min_extra:
                extras = [len(key) + 1 + self.size(node) for key, node in self._extras(shape)]
                sizes.append(min(extras, default=math.inf))
            return 2 + _joined(sizes, 0, 0)
        size = least_size(shape)
        return math.inf if size is None else size


def quoted(name: str) -> bytes:
    """A key's JSON."""
    return json.dumps(name, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _joined(sizes: Sequence[float], more: int, each: float) -> float:
    """Bytes of members with commas between them: these, and `more` of size `each`."""
    count = len(sizes) + more
    return sum(sizes) + (more * each if more else 0) + max(0, count - 1)


def _free_name(key: StringShape, record: ObjectShape) -> str | None:
    """The shortest key that has no name of the record's; None if there is none."""
    taken = record.names
    if key == StringShape():
        return next(name for name in map(_name, count()) if name not in taken)
    text = least_text(key)
    if text is None or json.loads(text) not in taken:
        return None if text is None else json.loads(text)
    text = least_text(replace(key, absent=(*key.absent, whole_words(taken))))
    return None if text is None else json.loads(text)


def _name(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
    name = letters[number % len(letters)]
    while number >= len(letters):
        number = number // len(letters) - 1
        name = letters[number % len(letters)] + name
    return name
