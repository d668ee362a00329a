"""What closes a value from where it stands: the shortest text, from its beginning and its shapes.

Where alternatives differ only in what is to come, several texts are offered, shortest first; the
matcher that knows the whole grammar has the last word on each.
"""

from collections.abc import Iterator

from openk2.grammar.ending.begun import arrays, next_named, objects, place
from openk2.grammar.ending.least import Least, quoted
from openk2.grammar.ending.partial import OpenArray, OpenObject, Partial, read_partial
from openk2.grammar.matcher import Leaves, text_rest
from openk2.grammar.schema import node_of
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
)

# Texts offered for one level.
MAX_OFFERS = 8


class Closer:
    """Closes values of one schema."""

    def __init__(self, shapes: Shapes, leaves: Leaves, least: Least) -> None:
        self._shapes, self._leaves, self._least = shapes, leaves, least

    def offers(self, text: bytes) -> list[bytes]:
        """Texts that may close the value begun by `text`, shortest first."""
        partial = read_partial(text)
        return [b""] if partial.whole else self._of_node(self._shapes.root, partial, 0)

    def _of_node(self, node: int, partial: Partial, depth: int) -> list[bytes]:
        if depth == len(partial.levels) and partial.begun is None:
            return [self._least.text(node)] if self._shapes.node(node) else []
        offers = set(self._of_alternatives(self._shapes.node(node), partial, depth))
        return sorted(offers, key=len)[:MAX_OFFERS]

    def _of_alternatives(
        self, union: Alternatives, partial: Partial, depth: int
    ) -> Iterator[bytes]:
        if depth == len(partial.levels):
            assert partial.begun is not None
            for shape in union:
                yield from self._of_scalar(shape, partial.begun)
            return
        level = partial.levels[depth]
        if isinstance(level, OpenArray):
            for one in arrays(self._shapes, union, level):
                yield from self._of_array(one, level, partial, depth)
        else:
            for other in objects(self._shapes, union, level):
                yield from self._of_object(other, level, partial, depth)

    def _of_scalar(self, shape: ValueShape, begun: bytes) -> Iterator[bytes]:
        if isinstance(shape, LiteralShape):
            for text in map(str.encode, shape.texts):
                if text.startswith(begun):
                    yield text[len(begun) :]
        elif isinstance(shape, StringShape | NumberShape) and (begun[:1] == b'"') == isinstance(
            shape, StringShape
        ):
            rest = self._leaves.rest(shape, begun)
            if rest is not None:
                yield rest

    def _of_array(
        self, shape: ArrayShape, level: OpenArray, partial: Partial, depth: int
    ) -> Iterator[bytes]:
        inside = depth + 1 < len(partial.levels) or partial.begun is not None
        count = len(level.items)
        if inside or level.after == "comma":
            heads = self._of_node(shape.item(count), partial, depth + 1)
            count += 1
        else:
            heads = [b""]
        if shape.max_items is not None and count > shape.max_items:
            return
        owed = [self._least.text(shape.item(i)) for i in range(count, shape.min_items)]
        tail = b",".join(owed) + b"]"
        comma = b"," if owed and count else b""
        for head in heads:
            yield head + comma + tail

    def _of_object(
        self, shape: ObjectShape, level: OpenObject, partial: Partial, depth: int
    ) -> Iterator[bytes]:
        last, extras = place(shape, level)
        if level.key is not None:
            node = node_of(shape, level.key)
            colon = b"" if level.after == "colon" else b":"
            for head in self._of_node(node, partial, depth + 1):
                yield from self._closed(shape, colon + head, last, extras)
        elif partial.begun is not None and depth + 1 == len(partial.levels):
            yield from self._from_key(shape, partial.begun, last, extras)
        elif level.after == "comma":
            yield from self._from_member(shape, last, extras)
        else:
            members = self._least.members(shape, last, extras)
            comma = b"," if members and level.members else b""
            yield comma + b",".join(members) + b"}"

    def _closed(self, shape: ObjectShape, head: bytes, last: int, extras: int) -> Iterator[bytes]:
        """A head that ends a member, and what is owed behind it."""
        if shape.max_extra is None or extras <= shape.max_extra:
            yield b",".join([head, *self._least.members(shape, last, extras)]) + b"}"

    def _from_member(self, shape: ObjectShape, last: int, extras: int) -> Iterator[bytes]:
        """Behind a comma: a member must come, the next owed one or any."""
        for position, name, node in next_named(self._shapes, shape, last, extras):
            yield from self._closed(shape, self._least.member(name, node), position, extras)
        extra = self._least.extra(shape)
        if extra is not None:
            yield from self._closed(shape, extra, len(shape.properties), extras + 1)

    def _from_key(
        self, shape: ObjectShape, begun: bytes, last: int, extras: int
    ) -> Iterator[bytes]:
        """Inside a key."""
        for position, name, node in next_named(self._shapes, shape, last, extras):
            if quoted(name).startswith(begun):
                head = quoted(name)[len(begun) :] + b":" + self._least.text(node)
                yield from self._closed(shape, head, position, extras)
        for rest, node in self._key_rests(shape, begun):
            head = rest + b":" + self._least.text(node)
            yield from self._closed(shape, head, len(shape.properties), extras + 1)

    def _key_rests(self, shape: ObjectShape, begun: bytes) -> Iterator[tuple[bytes, int]]:
        """What may finish a key that has no name."""
        if shape.additional != NEVER:
            rest = text_rest(begun[1:])
            for letters in (b"", b"a", b"zq", b"-_0"):
                yield rest + letters + b'"', shape.additional
        for pattern, node in shape.patterns:
            found = self._leaves.rest(StringShape(patterns=(pattern,)), begun)
            if found is not None and self._shapes.node(node):
                yield found, node
