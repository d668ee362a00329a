"""The markers of an assistant's output, and how to find them in text.

A marker is a special token. Models sometimes spell one with ordinary tokens, and engines that
return text spell all of them. `parsing` decides which ones count where.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto


class Marker(Enum):
    """What a marker does. OTHER: a special token without a meaning in an output."""

    SECTION_BEGIN = auto()
    SECTION_END = auto()
    CALL_BEGIN = auto()
    ARGUMENTS_BEGIN = auto()
    CALL_END = auto()
    THINK = auto()
    THINK_END = auto()
    STOP = auto()
    OTHER = auto()


CALL_MARKERS: Mapping[str, Marker] = {
    "<|tool_calls_section_begin|>": Marker.SECTION_BEGIN,
    "<|tool_calls_section_end|>": Marker.SECTION_END,
    "<|tool_call_begin|>": Marker.CALL_BEGIN,
    "<|tool_call_argument_begin|>": Marker.ARGUMENTS_BEGIN,
    "<|tool_call_end|>": Marker.CALL_END,
}
THINK_MARKERS: Mapping[str, Marker] = {"<think>": Marker.THINK, "</think>": Marker.THINK_END}
SPECIAL_MARKERS: Mapping[str, Marker] = {
    **CALL_MARKERS,
    **THINK_MARKERS,
    "<|im_end|>": Marker.STOP,
    "[EOS]": Marker.STOP,
}
# Not special tokens, but the report's spelling, which models write with ordinary tokens.
SINGULAR_MARKERS: Mapping[str, Marker] = {
    "<|tool_call_section_begin|>": Marker.SECTION_BEGIN,
    "<|tool_call_section_end|>": Marker.SECTION_END,
}
TEXT_MARKERS: Mapping[str, Marker] = {**CALL_MARKERS, **SINGULAR_MARKERS}

# Every name has this form and no second `<` or `[`, so only the last of these in a text can start
# an unfinished name.
_SHAPE = re.compile(r"<\|[a-z0-9_]+\|>|\[[A-Z]+\]|</?think>")


class SpeltMarkers:
    """Finds the markers of one table in text, in linear time."""

    def __init__(self, markers: Mapping[str, Marker]) -> None:
        self._markers = markers
        self._names = sorted(markers)

    def find(self, text: str, start: int) -> Iterator[tuple[int, int, Marker]]:
        """(begin, end, marker) of each marker in the text from `start` on."""
        for match in _SHAPE.finditer(text, start):
            marker = self._markers.get(match[0])
            if marker is not None:
                yield match.start(), match.end(), marker

    def beginning(self, text: str, start: int) -> int:
        """Where a marker may start that the text's end cuts off; the text's length if none."""
        opener = max(text.rfind("<", start), text.rfind("[", start))
        if opener >= 0:
            rest = text[opener:]
            following = bisect_left(self._names, rest)
            if following < len(self._names) and self._names[following].startswith(rest):
                return opener
        return len(text)


def named_markers(names: Iterable[str]) -> Mapping[str, Marker]:
    """The markers of these special tokens, and the singular spellings."""
    specials = {name: SPECIAL_MARKERS.get(name, Marker.OTHER) for name in names}
    return {**specials, **SINGULAR_MARKERS}


SPELT_CALL_MARKERS = SpeltMarkers(TEXT_MARKERS)
