"""What an assistant's output consists of, as it arrives.

`index` is a call's place in this response, from 0, and never the number inside its id.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ContentDelta:
    """More of the text meant for the reader."""

    text: str


@dataclass(frozen=True)
class CallStart:
    """A call of a declared tool begins; the id is canonical, `functions.NAME:IDX`."""

    index: int
    id: str
    name: str


@dataclass(frozen=True)
class CallArguments:
    """More of a call's arguments: JSON text, verbatim."""

    index: int
    text: str


@dataclass(frozen=True)
class CallEnd:
    """The call is complete. A call that was cut off has none."""

    index: int


OutputEvent = ContentDelta | CallStart | CallArguments | CallEnd


@dataclass(frozen=True)
class ToolCall:
    """A complete call; arguments is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str
