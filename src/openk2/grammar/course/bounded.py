"""The mask that a token generator is given: a course, held to its number of tokens."""

from collections import deque

from openk2.grammar.course.course import Course
from openk2.grammar.matcher import TokenVocabulary, Words

# Lists and objects in one another. Whoever reads or checks the output recurses: validators take
# some ten frames a level, of the thousand that Python allows.
MAX_NESTING = 64


class BoundedMask:
    """A `TokenMask` whose output ends properly within `max_tokens`.

    An id is refused if the shortest end behind it is further away than the tokens that are left,
    or if it nests deeper than MAX_NESTING; from then on the output is led along the shortest end.
    Nothing is shortened before that.
    """

    def __init__(self, vocabulary: TokenVocabulary, course: Course, max_tokens: int) -> None:
        self._vocabulary, self._course, self._left = vocabulary, course, max_tokens
        self._closing: deque[int] = deque()
        # The last way to the end that was computed: its length, and what was open then.
        self._known: tuple[int, int] | None = None

    def fill(self, allowed: Words) -> bool:
        """See `TokenMask`."""
        if self._closing:
            allowed[:] = 0
            self._vocabulary.allow(allowed, (self._closing[0],))
        else:
            allowed[self._vocabulary.words :] = 0
            self._course.fill(allowed[: self._vocabulary.words])
        return True

    def accept(self, token_id: int) -> bool:
        """See `TokenMask`."""
        if self._closing:
            if token_id != self._closing[0]:
                raise ValueError(f"token {token_id} is not {self._closing[0]}, which closes")
            self._closing.popleft()
            self._course.take(token_id)
            return True
        was_owing = self._course.owing
        self._course.take(token_id)
        if self._fits(self._left - 1):
            self._left -= 1
            return True
        self._course.undo()
        if was_owing:
            closing = self._course.closing()
            if closing is None:
                # No end is known from here either: the output may still find its own.
                self._course.take(token_id)
                self._left -= 1
                return True
            self._closing.extend(closing)
        else:
            self._course.forgo()
        return False

    def remainder(self) -> str | None:
        """See `Course`; None on the way to the end, which leaves no choice."""
        return None if self._closing else self._course.remainder()

    def _fits(self, left: int) -> bool:
        """Whether the course is no deeper than it may be and can end within `left` tokens."""
        course = self._course
        if course.depth > MAX_NESTING:
            return False
        if not course.owing or course.bound() <= left:
            return True
        if self._known is not None:
            length, opened = self._known
            if length + course.growth(opened) <= left:
                return True
        closing = course.closing()
        if closing is None or len(closing) > left:
            return False
        self._known = (len(closing), course.opened)
        return True
