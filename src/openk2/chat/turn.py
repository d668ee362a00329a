"""`AssistantTurn`: the state of one turn: text and markers, in order, to events.

Sections only separate: a call is whatever is between `<|tool_call_begin|>` and `<|tool_call_end|>`.
`parsing` has decided what is a marker and what is text that looks like one.
"""

import logging
from collections.abc import Collection
from enum import Enum, auto

from openk2.chat.call_ids import CallNumbers, read_call_id
from openk2.chat.events import (
    CallArguments,
    CallCounts,
    CallEnd,
    CallStart,
    ContentDelta,
    OutputEvent,
    ReasoningDelta,
)
from openk2.chat.json_text import JsonState, is_json_object, json_keys
from openk2.chat.markers import Marker
from openk2.chat.open_call import OpenCall
from openk2.chat.placing import Placing

logger = logging.getLogger(__name__)


class _State(Enum):
    CONTENT = auto()
    REASONING = auto()
    CALL_ID = auto()
    ARGUMENTS = auto()


class AssistantTurn:
    """Reads a turn; tools, first_number, in_reasoning and `counts` as in `OutputParser`.

    events: those that are certain; the caller empties the list.
    finished: whether the turn has ended; nothing may follow.
    """

    def __init__(
        self,
        tools: Collection[str],
        placing: Placing,
        first_number: int,
        in_reasoning: bool = False,
    ) -> None:
        self.counts = CallCounts()
        self.events: list[OutputEvent] = []
        self.finished = False
        self._tools = frozenset(tools)
        self._placing = placing
        self._numbers = CallNumbers(first_number)
        self._state = _State.REASONING if in_reasoning else _State.CONTENT
        self._blank: list[str] | None = None  # white space since a marker; None after other text
        self._id_text: list[str] = []
        self._call = OpenCall()
        self._announced = 0

    @property
    def json_state(self) -> JsonState | None:
        """The JSON state of the arguments so far; None outside arguments."""
        return self._call.json_state if self._state is _State.ARGUMENTS else None

    @property
    def in_reasoning(self) -> bool:
        """Whether text that comes next is a thought."""
        return self._state is _State.REASONING and not self.finished

    @property
    def has_whole_arguments(self) -> bool:
        """Whether only the end marker of an open call is missing."""
        return self._state is _State.ARGUMENTS and is_json_object(self._call.arguments)

    def on_text(self, text: str) -> None:
        """Take text without markers."""
        if not text:
            return
        if self._state is _State.CONTENT:
            self._on_content(text)
        elif self._state is _State.ARGUMENTS:
            self._emit_arguments(self._call.add(text))
        elif self._state is _State.CALL_ID:
            self._id_text.append(text)
        else:
            self.events.append(ReasoningDelta(text))

    def _on_content(self, text: str) -> None:
        """Emit text, but not white space between two markers, or between a marker and the end."""
        if self._blank is not None:
            self._blank.append(text)
            if text.isspace():
                return
            text, self._blank = "".join(self._blank), None
        self.events.append(ContentDelta(text))

    # Markers: begin and end calls.

    def on_marker(self, marker: Marker) -> None:
        """Take a marker. What it does depends on the state; no marker is an error anywhere."""
        match self._state, marker:
            case _, Marker.STOP:
                self.end()
            case _, Marker.OTHER:
                pass
            case _State.CALL_ID, Marker.ARGUMENTS_BEGIN:
                self._open_call()
            case _State.ARGUMENTS, Marker.ARGUMENTS_BEGIN:
                pass
            case _State.CALL_ID | _State.ARGUMENTS, Marker.THINK | Marker.THINK_END:
                pass
            case _State.CALL_ID, _:
                self._open_call()
                self._close_call()
                self._leave(marker)
            case _State.ARGUMENTS, _:
                self._close_call()
                self._leave(marker)
            case _State.REASONING, Marker.SECTION_BEGIN | Marker.CALL_BEGIN | Marker.THINK_END:
                self._leave(marker)
            case _State.REASONING, _:
                pass
            case _, Marker.SECTION_BEGIN | Marker.SECTION_END | Marker.CALL_BEGIN:
                self._leave(marker)
            case _, Marker.THINK:
                self._state = _State.REASONING
            case _:
                # A stray marker: keep the text on both sides.
                self._blank = None if self._blank is None else []

    def _leave(self, marker: Marker) -> None:
        """After the marker comes a new call's id, or content."""
        self._state = _State.CALL_ID if marker is Marker.CALL_BEGIN else _State.CONTENT
        self._id_text = []
        self._blank = []

    def end(self) -> None:
        """End the turn. A call that is still open is complete if its arguments are."""
        self.finished = True
        if self._state is _State.CALL_ID:
            self.counts += CallCounts(truncated=1)
        elif self._state is _State.ARGUMENTS and not self._call.is_dropped:
            if self.has_whole_arguments:
                self._close_call()
            else:
                self.counts += CallCounts(truncated=1)

    # Calls: open, announce, close.

    def _open_call(self) -> None:
        self._state = _State.ARGUMENTS
        self._call = OpenCall()
        meant = read_call_id("".join(self._id_text), self._tools)
        if meant is None:
            self._drop_call()
        elif meant.name is not None:
            self._announce_call(meant.name, meant.number)
        elif len(self._tools) == 1:
            self._announce_call(next(iter(self._tools)), meant.number)
        else:
            # Of several tools: the complete arguments will show which one.
            self._call.unplaced = meant

    def _announce_call(self, name: str, number: int | None) -> None:
        call_id = self._numbers.give(name, number)
        if call_id != "".join(self._id_text).strip():
            self.counts += CallCounts(recovered=1)
        self._call.index, self._call.unplaced = self._announced, None
        self._announced += 1
        self.events.append(CallStart(self._call.index, call_id, name))

    def _emit_arguments(self, text: str) -> None:
        if self._call.index is not None and text:
            self.events.append(CallArguments(self._call.index, text))

    def _close_call(self) -> None:
        arguments = self._call.arguments
        keys = json_keys(arguments or "{}")
        if self._call.unplaced is not None:
            self._place_call(arguments or "{}", self._call.unplaced.number)
            self._emit_arguments(arguments)
        if self._call.index is None:
            return
        if not arguments:
            self._emit_arguments("{}")
        self.counts += CallCounts(completed=1, invalid_arguments=int(keys is None))
        self.events.append(CallEnd(self._call.index))

    def _place_call(self, arguments: str, number: int | None) -> None:
        """Announce a call whose id named no tool, by its arguments."""
        name = self._placing.tool(arguments)
        if name is None or name not in self._tools:
            self._drop_call()
        else:
            self._announce_call(name, number)

    def _drop_call(self) -> None:
        self.counts += CallCounts(undeclared=1)
        id_text = "".join(self._id_text).strip()
        logger.warning("dropped a tool call: id %.80r names no declared tool", id_text)
