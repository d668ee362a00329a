"""`BoundedMask`: the mask that a token generator gets: a course within a token limit."""

from collections import deque

from openk2.grammar.course.course import Course
from openk2.grammar.matcher import MaskWords, TokenVocabulary

# How deep arrays and objects may nest. Readers recurse: validators use some ten stack frames a
# level, of the thousand that Python allows.
MAX_NESTING = 64


class BoundedMask:
    """A `TokenMask` whose output ends properly within `max_tokens`.

    An id is refused if the shortest end after it needs more tokens than are left, or if it nests
    deeper than MAX_NESTING. From then on the output follows the shortest end. Nothing is shortened
    before that.
    """

    def __init__(self, vocabulary: TokenVocabulary, course: Course, max_tokens: int) -> None:
        self._vocabulary, self._course, self._left = vocabulary, course, max_tokens
        self._closing: deque[int] = deque()
        # The length of the last shortest end that was computed, and `opened` at that time.
        self._known: tuple[int, int] | None = None

    def fill(self, allowed: MaskWords) -> bool:
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
                # No end is found from here either: the output may still reach its own.
                self._course.take(token_id)
                self._left -= 1
                return True
            self._closing.extend(closing)
        else:
            self._course.forgo()
        return False

    def remainder(self) -> str | None:
        """See `Course`; None on the shortest end, which leaves no choice."""
        return None if self._closing else self._course.remainder()

    def _fits(self, left: int) -> bool:
        """Whether the course is not too deep and can end within `left` tokens."""
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
