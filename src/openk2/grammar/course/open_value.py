"""A value while it is written: what may come next."""

from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import MaskWords, TokenVocabulary


class OpenValue:
    """One value under its schema."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._matcher = grammar.matcher()
        self._text = bytearray()
        self.nesting = Nesting()

    def fill(self, words: MaskWords) -> bool:
        """Write the ids that may come next into a mask int32 [words], without the end.

        Returns whether the end may come. Raises RuntimeError if the library gave up, for example
        because of a pattern's cost.
        """
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error():
            raise RuntimeError(f"the grammar gave up: {self._matcher.get_error()[:300]}")
        return self._vocabulary.forbid(words, self._vocabulary.call_end)

    def take(self, token_id: int) -> None:
        """Append an id. Raises ValueError for one that may not come here, and for the end."""
        end = token_id == self._vocabulary.call_end
        if end or self._matcher.try_consume_tokens([token_id]) != 1:
            raise ValueError(f"token {token_id} is not allowed here")
        piece = self._vocabulary.bytes_of(token_id)
        self._text += piece
        self.nesting = self.nesting.after(piece)

    @property
    def complete(self) -> bool:
        """Whether the value may end here."""
        return self._matcher.is_accepting()

    def remainder(self) -> str | None:
        """A grammar of what is missing of the value: see `Remainder.grammar`."""
        return self._grammar.remainder(bytes(self._text))
