"""One JSON Schema, compiled: the matcher of a vocabulary, and what else is asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from openk2.grammar.ending import Least
from openk2.grammar.error import GrammarError
from openk2.grammar.lark import LarkRules, Remainder, value
from openk2.grammar.matcher import TokenVocabulary, compiled
from openk2.grammar.schema import read
from openk2.grammar.shapes import Shapes

if TYPE_CHECKING:
    from llguidance import LLMatcher


@dataclass(frozen=True)
class WrittenSchema:
    """A schema as a grammar. lark: its text. least: JSON of the shortest value."""

    shapes: Shapes
    lark: str
    least: bytes


def written(schema: Mapping[str, Any] | bool) -> WrittenSchema:
    """The grammar of a schema. Raises GrammarError if it cannot be enforced."""
    reading = read(schema)
    shapes = Shapes(reading.nodes, reading.root_node)
    least = Least(shapes)
    rules = LarkRules(shapes, least, portable=False)
    lark = rules.grammar(value(shapes.root))
    return WrittenSchema(shapes, lark, least.text(shapes.root))


class ValueGrammar:
    """What a value of one schema may look like. Immutable; `matcher` starts a value.

    least_ids: of the shortest value. size: bytes that it takes, roughly.
    Raises GrammarError if the schema cannot be enforced.
    """

    def __init__(self, vocabulary: TokenVocabulary, schema: WrittenSchema) -> None:
        self._shapes = schema.shapes
        try:
            self._start = compiled(vocabulary.trie, schema.lark)
        except ValueError as error:
            raise GrammarError(f"cannot be enforced: {error}") from None
        self.least_ids = vocabulary.encode(schema.least)
        self.size = BYTES_PER_CHARACTER * len(schema.lark)

    def matcher(self) -> "LLMatcher":
        """A matcher at the start of a value."""
        return self._start.deep_copy()

    @cached_property
    def _remainder(self) -> Remainder:
        return Remainder(self._shapes, Least(self._shapes))

    def remainder(self, text: bytes) -> str | None:
        """A grammar of what a value starting with `text` lacks: see `Remainder.grammar`."""
        return self._remainder.grammar(text)


# Shapes, rules and the library's states, for a character of the grammar: measured, rounded up.
BYTES_PER_CHARACTER = 100
