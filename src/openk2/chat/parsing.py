"""`OutputParser`: an assistant's output to content and tool calls, as it streams.

One state machine serves streamed and whole output, so they agree by construction. It reads token
ids, where a marker is a special id. A call marker spelt with ordinary tokens counts too, except
inside a JSON string of the arguments that quotes it (`doubt`); models do write them, above all the
singular `<|tool_call_section_begin|>`. For engines that return text it reads text with every
special spelt.

No output raises, however malformed. This module finds markers; `turn` decides what they do. Report
appendix B.
"""

import codecs
from collections.abc import Collection, Iterable, Mapping

from openk2.chat.doubt import ENDING_MARKERS, Doubt
from openk2.chat.events import CallCounts, OutputEvent, join_neighbours
from openk2.chat.json_text import JsonState, advance_json
from openk2.chat.markers import (
    SPECIAL_MARKERS,
    SPELT_CALL_MARKERS,
    TEXT_MARKERS,
    THINK_MARKERS,
    Marker,
    SpeltMarkers,
    named_markers,
)
from openk2.chat.placing import JsonSchema, Placing
from openk2.chat.tokenizer import PUBLISHED_RANKS, Tokenizer, special_names
from openk2.chat.turn import AssistantTurn

# Text is read in pieces of so many characters, so that what a doubt releases is copied once.
PIECE = 4_096
# Strings that break off in one output; after them a marker in a string is text. Each may be read
# once more to its end.
MAX_BROKEN_STRINGS = 64

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


class OutputParser:
    """The incremental parser of one response; create a new one for each.

    tokenizer: the vocabulary of the ids; an engine that hands over text needs none.
    tools: names of the declared tools; a call of any other is dropped, counted and logged.
    argument_names: parameter names by tool, to place a call whose id is a bare counter or one that
        a client made up.
    schemas: JSON Schemas of the parameters by tool; with them only valid arguments place a call.
    first_number: how many calls the conversation already has; ids count on from there.
    reasoning: whether spelt `<think>` and `</think>` count where the tokenizer has no such ids.
    spelt_calls: whether a call's marker counts that stands among ids as ordinary text.
    in_reasoning: whether the prompt has opened the thought that the output goes on with.

    Feed a parser either ids or text, not both.
    """

    def __init__(
        self,
        tokenizer: Tokenizer | None,
        tools: Collection[str],
        *,
        argument_names: Mapping[str, Collection[str]] | None = None,
        schemas: Mapping[str, JsonSchema] | None = None,
        first_number: int = 0,
        reasoning: bool = False,
        spelt_calls: bool = True,
        in_reasoning: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        placing = Placing(argument_names or {}, schemas or {})
        self._turn = AssistantTurn(tools, placing, first_number, in_reasoning)
        self._think_markers = THINK_MARKERS if reasoning else {}
        # In ids only calls are looked for as text; `feed_text` exchanges this for all specials.
        if reasoning or not spelt_calls:
            calls = TEXT_MARKERS if spelt_calls else {}
            self._spelt = SpeltMarkers({**calls, **self._think_markers})
        else:
            self._spelt = SPELT_CALL_MARKERS
        self._reads_text = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # text that may be the start of a marker
        self._doubt: Doubt | None = None
        self._broken_strings = 0
        self._reasoning_tokens = 0

    @property
    def reasoning_tokens(self) -> int:
        """How many ids so far are thoughts, the marker that ends one included."""
        return self._reasoning_tokens

    @property
    def counts(self) -> CallCounts:
        """What became of the calls so far."""
        return self._turn.counts

    @property
    def completed_calls(self) -> int:
        """How many calls have a `CallEnd`."""
        return self._turn.counts.completed

    def feed(self, ids: Iterable[int]) -> list[OutputEvent]:
        """Take more output ids; returns the events that are certain. Ids after a stop are ignored.

        Raises ValueError without a tokenizer.
        """
        if self._tokenizer is None:
            raise ValueError("OutputParser has no tokenizer: give it one, or use feed_text")
        tokens = self._tokenizer.tokens
        run = bytearray()
        since = 0  # ids since the last special one
        for token_id in ids:
            if self._turn.finished:
                break
            since += 1
            if 0 <= token_id < len(tokens):
                run += tokens[token_id]
            elif self._tokenizer.is_special(token_id):
                self._on_bytes(run)
                run.clear()
                self._flush()
                self._reasoning_tokens += since * self._turn.in_reasoning
                since = 0
                name = self._tokenizer.decode([token_id])
                self._turn.on_marker(SPECIAL_MARKERS.get(name, Marker.OTHER))
            else:
                run += _REPLACEMENT
        self._reasoning_tokens += since * self._turn.in_reasoning
        self._on_bytes(run)
        return self._take_events()

    def feed_text(self, text: str) -> list[OutputEvent]:
        """Take more output text with specials spelt; returns the events that are certain.

        Returns what the ids of the same output would, unless a special token is quoted in a JSON
        string or the model spelt the name of one with ordinary tokens: in text both look alike.
        """
        if not self._reads_text:
            self._reads_text = True
            names = self._tokenizer.specials if self._tokenizer else special_names(PUBLISHED_RANKS)
            self._spelt = SpeltMarkers({**named_markers(names), **self._think_markers})
        for start in range(0, len(text), PIECE):
            self._on_text(text[start : start + PIECE])
        return self._take_events()

    def finish(self) -> list[OutputEvent]:
        """End the output; returns the held-back events. A call that was cut off has no end."""
        if not self._turn.finished:
            if self._turn.has_whole_arguments:
                self._held = ""  # after a complete object, the end marker
            self._flush()
            if not self._turn.finished:
                self._turn.end()
        return self._take_events()

    def _take_events(self) -> list[OutputEvent]:
        events, self._turn.events = self._turn.events, []
        return join_neighbours(events)

    def _on_bytes(self, data: bytearray) -> None:
        for start in range(0, len(data), PIECE):
            self._on_text(self._utf8.decode(data[start : start + PIECE]))

    def _on_text(self, text: str) -> None:
        """Read text; what a doubt held, and its answer releases, is read once more."""
        while text and not self._turn.finished:
            if self._doubt is not None:
                is_marker = self._doubt.add(text)
                text = "" if is_marker is None else self._settle(self._doubt, is_marker)
            elif self._held or "<" in text or "[" in text:
                text = self._split(self._held + text)
            else:
                self._turn.on_text(text)
                return

    def _split(self, text: str) -> str:
        """Pass on text and markers; hold what may be the start of a marker at the end.

        Returns what follows a marker that is in doubt.
        """
        start, self._held = 0, ""
        while (found := self._next_marker(text, start)) is not None:
            begin, end, marker, in_string = found
            self._turn.on_text(text[start:begin])
            if in_string:
                self._doubt = Doubt(marker, text[begin:end])
                return text[end:]
            self._turn.on_marker(marker)
            if self._turn.finished:
                return ""
            start = end
        held = self._spelt.beginning(text, start)
        self._turn.on_text(text[start:held])
        self._held = text[held:]
        return ""

    def _next_marker(self, text: str, start: int) -> tuple[int, int, Marker, bool] | None:
        """The first marker from `start` on, and whether it is inside a JSON string."""
        state, seen = self._turn.json_state, start
        may_break = self._broken_strings < MAX_BROKEN_STRINGS
        for begin, end, marker in self._spelt.find(text, start):
            if state is not None:
                state, seen = advance_json(state, text, seen, begin), begin
            if state is None or state is JsonState.OUTSIDE:
                return begin, end, marker, False
            if may_break and marker in ENDING_MARKERS:
                return begin, end, marker, True
        return None

    def _settle(self, doubt: Doubt, is_marker: bool) -> str:
        """Pass on a marker in a string as what it is; returns what is to be read after it."""
        self._doubt = None
        if is_marker:
            self._broken_strings += 1
            self._turn.on_marker(doubt.marker)
            return doubt.rest
        quoted, following = doubt.quoted()
        self._turn.on_text(quoted)
        return following

    def _flush(self) -> None:
        """Pass on held text, because a special id or the end follows."""
        self._on_text(self._utf8.decode(b"", final=True))
        while self._doubt is not None:
            is_marker = self._doubt.looks_real(self._spelt)
            self._on_text(self._settle(self._doubt, is_marker))
        held, self._held = self._held, ""
        if not self._turn.finished:
            self._turn.on_text(held)
