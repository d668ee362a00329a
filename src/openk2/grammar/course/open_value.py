"""A value while it is written: what may come next, and how much closing it may take."""

from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import TokenVocabulary, Words


class OpenValue:
    """One value under its schema. `undo` takes the last id back, and only the last."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._matcher = grammar.matcher()
        self._text = bytearray()
        self._nesting = Nesting()
        self._before = (0, Nesting())

    def fill(self, words: Words) -> bool:
        """Write the ids that may come next, without the end; whether the end may come.

        Raises RuntimeError if the library gave up, for example over a pattern's cost.
        """
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error():
            raise RuntimeError(f"the grammar gave up: {self._matcher.get_error()[:300]}")
        return self._vocabulary.forbid(words, self._vocabulary.call_end)

    def take(self, token_id: int) -> None:
        """Append an id whose bytes may come next. Raises ValueError for another, and the end."""
        end = token_id == self._vocabulary.call_end
        if end or self._matcher.try_consume_tokens([token_id]) != 1:
            raise ValueError(f"token {token_id} is not allowed here")
        self._before = (len(self._text), self._nesting)
        piece = self._vocabulary.bytes_of(token_id)
        self._text += piece
        self._nesting = self._nesting.after(piece)

    def undo(self) -> None:
        """Take the last id back."""
        self._matcher.rollback(1)
        length, self._nesting = self._before
        del self._text[length:]

    @property
    def complete(self) -> bool:
        """Whether the value may end here."""
        return self._matcher.is_accepting()

    @property
    def opened(self) -> int:
        """How many lists, objects and members were begun so far."""
        return self._nesting.opened

    @property
    def depth(self) -> int:
        """How many lists and objects are open."""
        return self._nesting.depth

    def bound(self) -> int:
        """Tokens that closing takes at most: a bound that costs nothing to compute."""
        return self._nesting.depth * self._grammar.level_size + self._grammar.leaf_size

    def growth(self, opened: int) -> int:
        """Tokens by which closing may have grown since `opened` was what it says, at most."""
        grown = self._nesting.opened - opened
        return grown * self._grammar.level_size + self._grammar.leaf_size

    def closing(self) -> list[int] | None:
        """Ids that close the value; None if none were found."""
        return self._grammar.closing(self._matcher, bytes(self._text))

    def remainder(self) -> str | None:
        """What is missing of the value: see `Remainder.grammar`."""
        return self._grammar.remainder(bytes(self._text))
