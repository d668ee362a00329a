"""The mask that a token generator is given: a course, no deeper than readers can follow."""

from openk2.grammar.course.course import Course
from openk2.grammar.course.nesting import Nesting
from openk2.grammar.matcher import MaskWords, TokenVocabulary

# Lists and objects in one another. Whoever reads or checks the output recurses: validators take
# some ten frames a level, of the thousand that Python allows.
MAX_NESTING = 64


class CourseMask:
    """A `TokenMask` of one output.

    It does not look at the token limit: an output that runs into it stops where it is, and is
    reported as cut. Nothing is shortened or made up so that it looks whole.
    """

    def __init__(self, vocabulary: TokenVocabulary, course: Course) -> None:
        self._vocabulary, self._course = vocabulary, course

    def fill(self, allowed: MaskWords) -> bool:
        """See `TokenMask`."""
        allowed[self._vocabulary.words :] = 0
        words = allowed[: self._vocabulary.words]
        self._course.fill(words)
        nesting = self._course.nesting
        if nesting is not None and nesting.depth + self._vocabulary.most_openings > MAX_NESTING:
            self._forbid_deeper(words, nesting)
        return True

    def accept(self, token_id: int) -> bool:
        """See `TokenMask`."""
        return self._course.take(token_id)

    def remainder(self) -> str | None:
        """See `Course`."""
        return self._course.remainder()

    def _forbid_deeper(self, words: MaskWords, nesting: Nesting) -> None:
        """Take away the ids that nest deeper than MAX_NESTING, unless all of them do."""
        before = words.copy()
        for token_id in self._vocabulary.openers:
            if nesting.after(self._vocabulary.bytes_of(token_id)).depth > MAX_NESTING:
                self._vocabulary.forbid(words, token_id)
        if not words.any():
            words[:] = before
