"""`OpenCall`: the call whose arguments a parser is reading."""

from openk2.chat.call_ids import CallName
from openk2.chat.json_text import JsonState, advance_json

_JSON_SPACE = " \t\r\n"


class OpenCall:
    """A call's arguments so far, without the white space around them.

    index: the call's position in the response; None until its start was emitted.
    unplaced: what an id said that names no tool, until the arguments show which one is meant.
    json_state: the state after the last character; inside a string a spelt marker is only text.
    """

    def __init__(self) -> None:
        self.index: int | None = None
        self.unplaced: CallName | None = None
        self.json_state = JsonState.OUTSIDE
        self._parts: list[str] = []
        self._space: list[str] = []  # white space to drop if the arguments end here

    @property
    def is_dropped(self) -> bool:
        """Whether it calls no declared tool, whatever its arguments."""
        return self.index is None and self.unplaced is None

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return "".join(self._parts)

    def add(self, text: str) -> str:
        """Take more text; returns the part of it, and of held white space, that is certain."""
        self.json_state = advance_json(self.json_state, text, 0, len(text))
        certain = text.rstrip(_JSON_SPACE)
        if not certain:
            self._space.append(text)
            return ""
        space, self._space = self._space, [text[len(certain) :]]
        certain = "".join([*space, certain]) if self._parts else certain.lstrip(_JSON_SPACE)
        self._parts.append(certain)
        return certain
