"""One JSON Schema, compiled: the matcher of a vocabulary, and what else is asked of it."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from openk2.grammar.ending import Least
from openk2.grammar.error import GrammarError
from openk2.grammar.lark import LarkRules, Remainder, value
from openk2.grammar.matcher import TokenVocabulary, compiled
from openk2.grammar.schema import Reading, read
from openk2.grammar.shapes import Shapes

if TYPE_CHECKING:
    from llguidance import LLMatcher


class ValueGrammar:
    """What a value of one schema may look like. Immutable; `matcher` starts a value.

    least_ids: of the shortest value. left: places of keywords that are left to the model.
    size: bytes that it takes, roughly.
    Raises GrammarError if the schema cannot be enforced.
    """

    def __init__(self, vocabulary: TokenVocabulary, schema: Mapping[str, Any] | bool) -> None:
        reading: Reading = read(schema)
        self._shapes = Shapes(reading.nodes, reading.root_node)
        self._least = Least(self._shapes)
        lark = LarkRules(self._shapes, self._least, portable=False).grammar(
            value(reading.root_node)
        )
        try:
            self._start = compiled(vocabulary.trie, lark)
        except ValueError as error:
            raise GrammarError(f"cannot be enforced: {error}") from None
        self.least_ids = vocabulary.encode(self._least.text(self._shapes.root))
        self.size = BYTES_PER_CHARACTER * len(lark)

    def matcher(self) -> "LLMatcher":
        """A matcher at the start of a value."""
        return self._start.deep_copy()

    @cached_property
    def _remainder(self) -> Remainder:
        return Remainder(self._shapes, self._least)

    def remainder(self, text: bytes) -> str | None:
        """A grammar of what a value starting with `text` lacks: see `Remainder.grammar`."""
        return self._remainder.grammar(text)


# Shapes, rules and the library's states, for a character of the grammar: measured, rounded up.
BYTES_PER_CHARACTER = 100
