"""One JSON Schema, compiled: the matcher of a vocabulary, and how to close what it began."""

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from openk2.grammar.ending import Closer, Least, quoted
from openk2.grammar.error import GrammarError
from openk2.grammar.lark import Remainder
from openk2.grammar.matcher import Leaves, TokenVocabulary, compiled, plain_schema
from openk2.grammar.schema import Reading, disjoint
from openk2.grammar.shapes import (
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
)

if TYPE_CHECKING:
    from llguidance import LLMatcher

_REPEATED = re.compile(r"\{(\d{1,9})")


class ValueGrammar:
    """What a value of one schema may look like. Immutable; values are begun with `matcher`.

    least: ids of the shortest value. level_size: bytes that closing one open list or object can
    take at most, leaf_size: one scalar.
    Raises GrammarError if the schema cannot be enforced.
    """

    def __init__(self, vocabulary: TokenVocabulary, schema: Mapping[str, Any] | bool) -> None:
        self._vocabulary = vocabulary
        leaves = Leaves()
        reading = Reading(schema, leaves)
        self._shapes = Shapes(reading.nodes, reading.root_node)
        for first, second, pointer in reading.disjoint:
            if not disjoint(self._shapes, first, second):
                place, _, keyword = pointer.rpartition("/")
                raise GrammarError(
                    "has branches that a value may satisfy together, as far as can be seen",
                    pointer=place,
                    keyword=keyword,
                )
        self._least = least = Least(self._shapes, leaves)
        self._closer = Closer(self._shapes, leaves, least)
        try:
            self._start = compiled(vocabulary.trie, plain_schema(self._shapes))
        except ValueError as error:
            # Strings and numbers were compiled one by one: what is left are keys.
            patterned = any(
                isinstance(shape, ObjectShape) and (shape.patterns or shape.closed)
                for union in self._shapes.nodes
                for shape in union
            )
            raise GrammarError(
                f"cannot be enforced: {error}", keyword="patternProperties" if patterned else None
            ) from None
        shapes = [shape for union in self._shapes.nodes for shape in union]
        self.leaf_size = max((_leaf_size(shape, leaves) for shape in shapes), default=0)
        self.level_size = max((_level_size(shape, least) for shape in shapes), default=0)
        self.least_ids = vocabulary.encode(least.text(self._shapes.root))

    def matcher(self) -> "LLMatcher":
        """A matcher at the beginning of a value."""
        return self._start.deep_copy()

    @cached_property
    def _remainder(self) -> Remainder:
        return Remainder(self._shapes, self._least)

    def remainder(self, text: bytes) -> str | None:
        """What is missing of a value of which this is the beginning: see `Remainder.grammar`."""
        return self._remainder.grammar(text)

    def closing(self, matcher: "LLMatcher", text: bytes) -> list[int] | None:
        """Ids that close the value that the matcher has seen; None if none were found.

        text: the value's bytes so far.
        """
        for offer in self._closer.offers(text):
            if not offer and matcher.is_accepting():
                return []
            ids = self._vocabulary.encode(offer)
            if matcher.validate_tokens([*ids, self._vocabulary.call_end]) == len(ids) + 1:
                return ids
        return None


def _leaf_size(shape: ValueShape, leaves: Leaves) -> int:
    """Bytes that finishing a scalar can take, wherever it stands."""
    if isinstance(shape, LiteralShape):
        return max(len(text.encode()) for text in shape.texts)
    if isinstance(shape, NumberShape):
        return 64
    if not isinstance(shape, StringShape):
        return 0
    size = shape.min_length + 8
    for pattern in shape.patterns:
        # Written out, with every repetition repeated, a pattern has no longer way to its end.
        size *= len(pattern) * math.prod(int(n) + 1 for n in _REPEATED.findall(pattern))
    return size + 64 * len(shape.formats)


def _level_size(shape: ValueShape, least: Least) -> int:
    """Bytes that closing a list or an object can take, its innermost member begun or not."""
    if isinstance(shape, ArrayShape):
        items = [least.size(node) for node in (*shape.prefix, shape.rest)]
        own = shape.min_items * (1 + max((s for s in items if s < math.inf), default=0))
        return int(own) + 2
    if isinstance(shape, ObjectShape):
        members = [len(quoted(n)) + 2 + least.size(node) for n, node in shape.properties]
        members += [32 + least.size(node) for _, node in shape.patterns]
        members += [32 + least.size(shape.additional)]
        sizes = [size for size in members if size < math.inf]
        own = sum(
            len(quoted(name)) + 2 + least.size(node)
            for name, node in shape.properties
            if name in shape.required
        )
        return int(min(own, 1e9)) + int(max(sizes, default=0)) + 2
    return 0
