"""`OpenValue`: a value in progress: what may come next, and how many tokens its end needs."""

from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import MaskWords, TokenVocabulary


class OpenValue:
    """One value of a schema in progress. `undo` takes the last id back, and only that."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._matcher = grammar.matcher()
        self._text = bytearray()
        self._nesting = Nesting()
        self._before = (0, Nesting())

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
        """How many arrays, objects and members were ever opened."""
        return self._nesting.opened

    @property
    def depth(self) -> int:
        """How many arrays and objects are open."""
        return self._nesting.depth

    def bound(self) -> int:
        """An upper bound of the tokens that the end needs, at no cost."""
        return self._nesting.depth * self._grammar.level_size + self._grammar.leaf_size

    def growth(self, opened: int) -> int:
        """An upper bound of what the end has grown by since `opened` had this value."""
        grown = self._nesting.opened - opened
        return grown * self._grammar.level_size + self._grammar.leaf_size

    def closing(self) -> list[int] | None:
        """The ids of the shortest end; None if none is found."""
        return self._grammar.closing(self._matcher, bytes(self._text))

    def remainder(self) -> str | None:
        """A grammar of what is missing of the value: see `Remainder.grammar`."""
        return self._grammar.remainder(bytes(self._text))
