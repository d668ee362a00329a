"""`ContentCourse`: content that is one JSON value, then a stop token."""

from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.open_value import OpenValue
from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import MaskWords, TokenVocabulary


class ContentCourse:
    """The `Course` of one value."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._value = OpenValue(vocabulary, grammar)
        self._stopped = False

    @property
    def nesting(self) -> Nesting:
        """See `Course`."""
        return self._value.nesting

    def fill(self, words: MaskWords) -> None:
        """See `Course`."""
        ends = True
        if self._stopped:
            words[:] = 0
        else:
            ends = self._value.fill(words)
        if ends:
            self._vocabulary.allow(words, self._vocabulary.stops)

    def take(self, token_id: int) -> bool:
        """See `Course`."""
        if token_id not in self._vocabulary.stops:
            self._value.take(token_id)
        elif self._value.complete:
            self._stopped = True
        else:
            raise ValueError("the content cannot end here")
        return True

    def shortest(self) -> int:
        """See `Course`."""
        return len(self._grammar.least_ids) + 1

    def remainder(self) -> str | None:
        """See `Course`."""
        return None if self._stopped else self._value.remainder()
