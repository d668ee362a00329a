"""`CallsOrContent`: tool calls or content that is one JSON value; the first token decides."""

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
        self._begins_calls = vocabulary.section_begin
        self._vocabulary, self._section, self._content = vocabulary, section, content
        self._chosen: Course | None = None

    @property
    def nesting(self) -> Nesting | None:
        """See `Course`."""
        return (self._chosen or self._content).nesting

    def fill(self, words: MaskWords) -> None:
        """See `Course`."""
        (self._chosen or self._content).fill(words)
        if self._chosen is None:
            self._vocabulary.allow(words, (self._begins_calls,))

    def take(self, token_id: int) -> None:
        """See `Course`."""
        begun = self._section if token_id == self._begins_calls else self._content
        chosen = self._chosen or begun
        chosen.take(token_id)
        self._chosen = chosen

    def shortest(self) -> int:
        """See `Course`."""
        return min(self._section.shortest(), self._content.shortest())

    def remainder(self) -> str | None:
        """See `Course`. None before the first token, so that an upstream may still call."""
        return None if self._chosen is None else self._chosen.remainder()
