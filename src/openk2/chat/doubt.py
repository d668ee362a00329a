"""`Doubt`: a marker inside an open JSON string, until it shows whether the string quotes it.

A model that breaks off inside a string and goes on with the next call looks at first like one that
quotes a marker. What follows the next quote tells them apart: after a whole string comes a comma,
a colon or a bracket, after `{"` of the next call's arguments the name of a key.
"""

from openk2.chat.json_text import JsonState, string_end
from openk2.chat.markers import Marker, SpeltMarkers

# Those that end a call. Any other inside a string is text.
ENDING_MARKERS = frozenset(
    (
        *(Marker.SECTION_BEGIN, Marker.SECTION_END, Marker.CALL_BEGIN, Marker.CALL_END),
        Marker.STOP,
    )
)
_AFTER_A_STRING = ",:}]"


class Doubt:
    """Holds the text from such a marker on. marker: what it does, if it is one; name: its text."""

    def __init__(self, marker: Marker, name: str) -> None:
        self.marker = marker
        self._name, self._parts = name, [""]
        self._state = JsonState.STRING
        self._size, self._end = 0, 0  # of the parts; where the string ends in them

    def add(self, text: str) -> bool | None:
        """Take more text. Returns whether the marker is one; None if that is still unknown."""
        self._parts.append(text)
        if self._state is not JsonState.OUTSIDE:
            self._state, end = string_end(self._state, text)
            if end is None:
                self._size += len(text)
                return None
            self._end = self._size + end
            text = text[end:]
        after = text.lstrip()
        return after[0] not in _AFTER_A_STRING if after else None

    @property
    def rest(self) -> str:
        """What follows the marker."""
        return "".join(self._parts)

    def quoted(self) -> tuple[str, str]:
        """What of the held text is the string's, if it quotes the marker, and what follows that."""
        rest = self.rest
        end = self._end if self._state is JsonState.OUTSIDE else len(rest)
        return self._name + rest[:end], rest[end:]

    def looks_real(self, spelt: SpeltMarkers) -> bool:
        """Whether it is a marker, if no more text comes: what follows is no prose but another."""
        rest = self.rest
        if self._state is JsonState.OUTSIDE:
            return False
        begin, _, following = next(spelt.find(rest, 0), (len(rest), len(rest), Marker.STOP))
        if self.marker is Marker.CALL_BEGIN:
            return following is Marker.ARGUMENTS_BEGIN
        return not rest[:begin].strip()
