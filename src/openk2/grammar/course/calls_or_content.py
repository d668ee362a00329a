"""`CallsOrContent`: tool calls or content that is one JSON value; the model's first token decides.

That token is chosen as freely as without a format: any that begins no call is refused if it begins
no JSON, and means content. A mask that offered only JSON and calls would make a model that wanted
to write text call instead.
"""

from openk2.grammar.course.content import ContentCourse
from openk2.grammar.course.course import Course
from openk2.grammar.course.nesting import Nesting
from openk2.grammar.course.section import ToolSection
from openk2.grammar.matcher import MaskWords, TokenVocabulary


class CallsOrContent:
    """The `Course` of a response format beside tools. section: required, so that it has no text."""

    def __init__(
        self, vocabulary: TokenVocabulary, section: ToolSection, content: ContentCourse
    ) -> None:
        self._vocabulary, self._section, self._content = vocabulary, section, content
        self._chosen: Course | None = None

    @property
    def nesting(self) -> Nesting | None:
        """See `Course`."""
        return (self._chosen or self._content).nesting

    def fill(self, words: MaskWords) -> None:
        """See `Course`."""
        if self._chosen is None:
            words[:] = self._vocabulary.free
        else:
            self._chosen.fill(words)

    def take(self, token_id: int) -> bool:
        """See `Course`."""
        if self._chosen is not None:
            return self._chosen.take(token_id)
        if token_id in self._vocabulary.inner:
            raise ValueError(f"token {token_id} is not allowed here")
        if token_id in self._vocabulary.openings:
            self._chosen = self._section
            return self._section.take(token_id)
        self._chosen = self._content
        try:
            return self._content.take(token_id)
        except ValueError:
            return False

    def shortest(self) -> int:
        """See `Course`."""
        return min(self._section.shortest(), self._content.shortest())

    def remainder(self) -> str | None:
        """See `Course`. None before the first token, so that an upstream may still call."""
        return None if self._chosen is None else self._chosen.remainder()
