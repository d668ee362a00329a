"""The events of an assistant's output as it arrives, and counts of its calls.

`index` is a call's position in this response, from 0, never the number inside its id.
"""

from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More of the text meant for the reader."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what the model thinks before it answers; K2-Instruct never thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call of a declared tool begins; the id is canonical, `functions.NAME:IDX`."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of a call's arguments: JSON text, verbatim."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The call is complete. A call that was cut off has none."""

    index: int


OutputEvent = ContentDelta | ReasoningDelta | CallStart | CallArguments | CallEnd


@dataclass(frozen=True)
class ToolCall:
    """A complete call; arguments is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class CallCounts:
    """Counts of the calls that a model began; they can be summed over responses.

    completed: have a `CallEnd`.
    undeclared: dropped, as their ids name no declared tool.
    truncated: cut off by the end of the output.
    Every call that was begun is one of these three when the output has ended.

    invalid_arguments: completed calls whose arguments are not JSON; passed on verbatim.
    recovered: announced calls that got another id than the model wrote, which was mangled or taken.
    """

    completed: int = 0
    undeclared: int = 0
    truncated: int = 0
    invalid_arguments: int = 0
    recovered: int = 0

    def __add__(self, other: "CallCounts") -> "CallCounts":
        return CallCounts(
            self.completed + other.completed,
            self.undeclared + other.undeclared,
            self.truncated + other.truncated,
            self.invalid_arguments + other.invalid_arguments,
            self.recovered + other.recovered,
        )


def join_neighbours(events: list[OutputEvent]) -> list[OutputEvent]:
    """The events with neighbouring texts of one kind joined: fewer, with the same meaning."""
    if len(events) < 2:
        return events
    joined: list[OutputEvent] = []
    for _, group in groupby(events, lambda event: (type(event), getattr(event, "index", None))):
        match same := list(group):
            case [ContentDelta(), _, *_]:
                joined.append(ContentDelta(_texts(same)))
            case [ReasoningDelta(), _, *_]:
                joined.append(ReasoningDelta(_texts(same)))
            case [CallArguments(index), _, *_]:
                joined.append(CallArguments(index, _texts(same)))
            case _:
                joined += same
    return joined


def _texts(events: list[OutputEvent]) -> str:
    return "".join(
        event.text
        for event in events
        if isinstance(event, ContentDelta | ReasoningDelta | CallArguments)
    )
