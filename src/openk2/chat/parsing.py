"""An assistant's output ids -> content and tool calls, as they arrive.

One state machine serves streamed and whole output, so both agree by construction. Markers are
special ids; a marker spelt as ordinary text (models do it, above all the singular
`<|tool_call_section_begin|>`) counts too, except inside a JSON string of the arguments. Sections
only separate: a call is what stands between `<|tool_call_begin|>` and `<|tool_call_end|>`,
wherever it is. No output, however malformed, raises. Report appendix B.
"""

import codecs
import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from openk2.chat.call_ids import call_id, name_from_arguments, read_call_id
from openk2.chat.events import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    ToolCall,
)
from openk2.chat.tokenizer import Tokenizer

logger = logging.getLogger(__name__)


class Marker(Enum):
    """The markers by what they do; a section's begin and end only separate."""

    SECTION = auto()
    CALL_BEGIN = auto()
    ARGUMENTS_BEGIN = auto()
    CALL_END = auto()


SPECIAL_MARKERS: Mapping[str, Marker] = {
    "<|tool_calls_section_begin|>": Marker.SECTION,
    "<|tool_calls_section_end|>": Marker.SECTION,
    "<|tool_call_begin|>": Marker.CALL_BEGIN,
    "<|tool_call_argument_begin|>": Marker.ARGUMENTS_BEGIN,
    "<|tool_call_end|>": Marker.CALL_END,
}
TEXT_MARKERS: Mapping[str, Marker] = {
    **SPECIAL_MARKERS,
    "<|tool_call_section_begin|>": Marker.SECTION,
    "<|tool_call_section_end|>": Marker.SECTION,
}
_TEXT_MARKER = re.compile("|".join(re.escape(text) for text in TEXT_MARKERS))
_JSON_SPACE = " \t\r\n"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass(frozen=True)
class ParsedOutput:
    """A whole output: its text and its complete calls, in order."""

    content: str
    tool_calls: tuple[ToolCall, ...]


def parse_output(
    tokenizer: Tokenizer,
    ids: Iterable[int],
    tools: Collection[str],
    *,
    argument_names: Mapping[str, Collection[str]] | None = None,
) -> ParsedOutput:
    """Parse a whole output with `OutputParser`; calls that were cut off are left out."""
    parser = OutputParser(tokenizer, tools, argument_names=argument_names)
    content: list[str] = []
    starts: dict[int, CallStart] = {}
    arguments: dict[int, list[str]] = {}
    calls: list[ToolCall] = []
    for event in parser.feed(ids) + parser.finish():
        match event:
            case ContentDelta(text):
                content.append(text)
            case CallStart(index):
                starts[index], arguments[index] = event, []
            case CallArguments(index, text):
                arguments[index].append(text)
            case CallEnd(index):
                start = starts[index]
                calls.append(ToolCall(start.id, start.name, "".join(arguments[index])))
    return ParsedOutput("".join(content), tuple(calls))


class _State(Enum):
    CONTENT = auto()
    CALL_ID = auto()
    ARGUMENTS = auto()


class OutputParser:
    """The incremental parser of one response; make a fresh one per request.

    tools: names of the declared tools; a call of any other is dropped, counted and logged.
    argument_names: parameter names by tool, to place a call whose id is a bare counter.
    first_number: how many calls the conversation already has, to number ids without a counter.

    completed_calls, dropped_calls, invalid_arguments (completed calls whose arguments are not
    JSON; they are passed on verbatim) count what happened so far.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        tools: Collection[str],
        *,
        argument_names: Mapping[str, Collection[str]] | None = None,
        first_number: int = 0,
    ) -> None:
        self.completed_calls = 0
        self.dropped_calls = 0
        self.invalid_arguments = 0
        self._tokenizer = tokenizer
        self._tools = frozenset(tools)
        self._argument_names = argument_names or {}
        self._markers = {tokenizer.special(name): m for name, m in SPECIAL_MARKERS.items()}
        self._next_number = first_number
        self._used_ids: set[str] = set()
        self._events: list[OutputEvent] = []
        self._finished = False
        self._state = _State.CONTENT
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""  # text not yet consumed: a marker may be beginning in it
        self._blank: str | None = None  # white space since a marker; None once text has followed
        self._id_text = ""
        self._call = _OpenCall()

    def feed(self, ids: Iterable[int]) -> list[OutputEvent]:
        """Take more output ids; returns what became certain. Ids after a stop id are ignored."""
        for token_id in ids:
            if self._finished:
                break
            if token_id in self._tokenizer.stop_ids:
                self._end_text()
                self._finished = True
            elif self._tokenizer.is_special(token_id):
                self._end_text()
                if token_id in self._markers:
                    self._on_marker(self._markers[token_id])
            else:
                self._pending += self._utf8.decode(self._bytes(token_id))
                self._consume()
        return self._take_events()

    def finish(self) -> list[OutputEvent]:
        """The output is over: returns the text that was held back. An open call stays open."""
        if not self._finished:
            self._end_text()
            self._finished = True
        return self._take_events()

    def _bytes(self, token_id: int) -> bytes:
        in_vocabulary = 0 <= token_id < self._tokenizer.vocab_size
        return self._tokenizer.decode_bytes([token_id]) if in_vocabulary else _REPLACEMENT

    def _take_events(self) -> list[OutputEvent]:
        events, self._events = _merge(self._events), []
        return events

    # Text: find markers spelt in it, hold back what may be the beginning of one.

    def _end_text(self) -> None:
        """A special id or the end follows: what was held back is text after all."""
        self._pending += self._utf8.decode(b"", final=True)
        self._utf8.reset()
        self._consume()
        self._on_text(self._pending)
        self._pending = ""

    def _consume(self) -> None:
        while (found := self._next_marker()) is not None:
            start, end = found
            marker = TEXT_MARKERS[self._pending[start:end]]
            self._on_text(self._pending[:start])
            self._pending = self._pending[end:]
            self._on_marker(marker)
        held = _marker_beginning(self._pending)
        if self._state is _State.ARGUMENTS and self._call.is_inside_string(self._pending[:held]):
            held = len(self._pending)
        self._on_text(self._pending[:held])
        self._pending = self._pending[held:]

    def _next_marker(self) -> tuple[int, int] | None:
        """Where the first marker in the pending text is that does not stand in a JSON string."""
        for match in _TEXT_MARKER.finditer(self._pending):
            before = self._pending[: match.start()]
            if self._state is _State.ARGUMENTS and self._call.is_inside_string(before):
                continue
            return match.span()
        return None

    def _on_text(self, text: str) -> None:
        match self._state:
            case _State.CONTENT:
                self._on_content(text)
            case _State.CALL_ID:
                self._id_text += text
            case _State.ARGUMENTS:
                self._emit_arguments(self._call.add(text))

    def _on_content(self, text: str) -> None:
        """Pass text on; white space between two markers, or between one and the end, is none."""
        if self._blank is not None:
            text = self._blank + text
            self._blank = None if text.strip() else text
        if self._blank is None and text:
            self._events.append(ContentDelta(text))

    # Markers: begin and end calls.

    def _on_marker(self, marker: Marker) -> None:
        match self._state, marker:
            case _State.CALL_ID, Marker.ARGUMENTS_BEGIN:
                self._open_call()
            case _State.ARGUMENTS, Marker.ARGUMENTS_BEGIN:
                pass
            case _State.CALL_ID, _:
                self._drop(self._id_text)
                self._leave_call(marker)
            case _State.ARGUMENTS, _:
                self._close_call()
                self._leave_call(marker)
            case _State.CONTENT, Marker.CALL_BEGIN | Marker.SECTION:
                self._leave_call(marker)
            case _State.CONTENT, _:
                # An orphan: the text on both sides of it stands.
                self._blank = None if self._blank is None else ""

    def _leave_call(self, marker: Marker) -> None:
        """What follows the marker is a new call's id, or content."""
        self._state = _State.CALL_ID if marker is Marker.CALL_BEGIN else _State.CONTENT
        self._id_text = ""
        self._blank = ""

    def _open_call(self) -> None:
        self._state = _State.ARGUMENTS
        self._call = _OpenCall()
        meant = read_call_id(self._id_text, self._tools)
        if meant is None:
            self._drop(self._id_text)
        elif meant.name is not None:
            self._start_call(meant.name, meant.number)
        elif len(self._tools) == 1:
            self._start_call(next(iter(self._tools)), meant.number)
        else:
            # A bare counter among several tools: the arguments will tell, once they are whole.
            self._call.unplaced_number = meant.number

    def _start_call(self, name: str, number: int | None) -> None:
        wanted = call_id(name, self._next_number if number is None else number)
        if wanted in self._used_ids:
            wanted = call_id(name, self._next_number)
        index = len(self._used_ids)
        self._used_ids.add(wanted)
        self._next_number = max(self._next_number, int(wanted.rpartition(":")[2]) + 1)
        self._call.index = index
        self._events.append(CallStart(index, wanted, name))

    def _emit_arguments(self, text: str) -> None:
        if self._call.index is not None and text:
            self._events.append(CallArguments(self._call.index, text))

    def _close_call(self) -> None:
        arguments = self._call.arguments
        keys = _json_keys(arguments or "{}")
        if self._call.unplaced_number is not None:
            name = name_from_arguments(keys or (), self._argument_names)
            if name is None or name not in self._tools:
                self._drop(self._id_text)
                return
            self._start_call(name, self._call.unplaced_number)
            self._emit_arguments(arguments)
        if self._call.index is None:
            return
        if not arguments:
            self._emit_arguments("{}")
        self.completed_calls += 1
        self.invalid_arguments += keys is None
        self._events.append(CallEnd(self._call.index))

    def _drop(self, id_text: str) -> None:
        self.dropped_calls += 1
        logger.warning("dropped a tool call: id %.80r names no declared tool", id_text.strip())


class _OpenCall:
    """The call whose arguments are being read.

    index: its place in the response; None while it is not announced.
    unplaced_number: the bare counter that is all its id said, until the arguments name its tool.
    """

    def __init__(self) -> None:
        self.index: int | None = None
        self.unplaced_number: int | None = None
        self._parts: list[str] = []
        self._space = ""  # white space that is trimmed if the arguments end here
        self._place = _Place.OUTSIDE

    @property
    def arguments(self) -> str:
        """The arguments so far, without white space around them."""
        return "".join(self._parts)

    def add(self, text: str) -> str:
        """Take more text; returns what of it, and of held white space, is certain."""
        self._place = _scan(self._place, text)
        text = self._space + text
        if not self._parts:
            text = text.lstrip(_JSON_SPACE)
        certain = text.rstrip(_JSON_SPACE)
        self._space = text[len(certain) :]
        if certain:
            self._parts.append(certain)
        return certain

    def is_inside_string(self, more: str) -> bool:
        """Whether the place after the text so far plus `more` is inside a JSON string."""
        return _scan(self._place, more) is not _Place.OUTSIDE


class _Place(Enum):
    """Where a place in JSON text is: outside strings, inside one, or behind its backslash."""

    OUTSIDE = auto()
    STRING = auto()
    ESCAPE = auto()


def _scan(place: _Place, text: str) -> _Place:
    for character in text:
        if place is _Place.ESCAPE:
            place = _Place.STRING
        elif character == '"':
            place = _Place.OUTSIDE if place is _Place.STRING else _Place.STRING
        elif character == "\\" and place is _Place.STRING:
            place = _Place.ESCAPE
    return place


def _marker_beginning(text: str) -> int:
    """Where a marker may be beginning at the end of the text; its length if none is."""
    start = text.rfind("<")
    possible = start >= 0 and any(marker.startswith(text[start:]) for marker in TEXT_MARKERS)
    return start if possible else len(text)


def _json_keys(text: str) -> frozenset[str] | None:
    """The keys of a JSON object, none for other JSON; None if the text is not JSON."""
    try:
        value = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    return frozenset(value) if isinstance(value, dict) else frozenset()


def _merge(events: list[OutputEvent]) -> list[OutputEvent]:
    """Join neighbouring texts of the same kind, so that one feed gives few events."""
    merged: list[OutputEvent] = []
    for event in events:
        match merged[-1] if merged else None, event:
            case ContentDelta(before), ContentDelta(text):
                merged[-1] = ContentDelta(before + text)
            case CallArguments(index, before), CallArguments(same, text) if index == same:
                merged[-1] = CallArguments(index, before + text)
            case _:
                merged.append(event)
    return merged
