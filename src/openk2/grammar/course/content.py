"""Content that is one JSON value, as a course: the value, then a stop token."""

from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import TokenVocabulary, Words


class ContentCourse:
    """A `Course` of one value."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary = vocabulary
        self._value = OpenValue(vocabulary, grammar)
        self._stopped = self._was_stopped = False

    @property
    def owing(self) -> bool:
        """See `Course`."""
        return not self._stopped

    @property
    def opened(self) -> int:
        """See `Course`."""
        return self._value.opened

    @property
    def depth(self) -> int:
        """See `Course`."""
        return self._value.depth

    def fill(self, words: Words) -> None:
        """See `Course`."""
        ends = True
        if self._stopped:
            words[:] = 0
        else:
            ends = self._value.fill(words)
        if ends:
            self._vocabulary.allow(words, self._vocabulary.stops)

    def take(self, token_id: int) -> None:
        """See `Course`. Raises ValueError for an id that may not come here."""
        self._was_stopped = self._stopped
        if token_id not in self._vocabulary.stops:
            self._value.take(token_id)
        elif self._value.complete:
            self._stopped = True
        else:
            raise ValueError("the content cannot end here")

    def undo(self) -> None:
        """See `Course`."""
        if self._stopped == self._was_stopped:
            self._value.undo()
        self._stopped = self._was_stopped

    def bound(self) -> int:
        """See `Course`."""
        return self._value.bound() + 1

    def growth(self, opened: int) -> int:
        """See `Course`."""
        return self._value.growth(opened)

    def closing(self) -> list[int] | None:
        """See `Course`."""
        closing = self._value.closing()
        return None if closing is None else [*closing, self._vocabulary.stop]

    def remainder(self) -> str | None:
        """See `Course`."""
        return None if self._stopped else self._value.remainder()

    def forgo(self) -> None:
        """See `Course`: this one is owing until it is done."""
        raise AssertionError("content owes its value from the beginning")
