"""The events of an assistant's output as it streams, and counts of its calls.

`index` is a call's position in this response, from 0; it is not the number in its id.
"""

from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of the model's reasoning before the answer; K2-Instruct has none."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStart:
    """A call of a declared tool starts; the id is canonical, `functions.NAME:IDX`."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of a call's arguments: the model's JSON text, verbatim."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class CallEnd:
    """The call is complete. A call that was cut off has none."""

    index: int


OutputEvent = ContentDelta | ReasoningDelta | CallStart | CallArguments | CallEnd


@dataclass(frozen=True)
class ToolCall:
    """A complete call. arguments: the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class CallCounts:
    """What became of the calls that the model started; counts of responses can be added.

    completed: calls with a `CallEnd`.
    undeclared: calls dropped because their ids name no declared tool.
    truncated: calls cut off by the end of the output.
    Every call that was started is one of these three once the output has ended.

    invalid_arguments: completed calls whose arguments are not JSON; they are passed on verbatim.
    recovered: calls whose id the model mangled, or took from another call, and that got a new one.
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
    """Join consecutive texts of the same kind: fewer events with the same meaning."""
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
