"""Reading JSON that is not finished: what is open, and the scalar that it breaks off in."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WORD = re.compile(rb"[-+.0-9a-zA-Z]+")


@dataclass
class OpenArray:
    """items: those that are whole. after: what the text ends behind."""

    items: list[Any] = field(default_factory=list)
    after: Literal["start", "value", "comma"] = "start"


@dataclass
class OpenObject:
    """members: those that are whole, in order. key: of the one that is not; None before it."""

    members: list[tuple[str, Any]] = field(default_factory=list)
    key: str | None = None
    after: Literal["start", "value", "comma", "key", "colon"] = "start"


@dataclass(frozen=True)
class Partial:
    """The beginning of one value.

    levels: what is open, outermost first. begun: the scalar, or key, that the text ends in, if it
    may go on. whole: whether the value is complete; a number at the end never is, but is `begun`.
    """

    levels: tuple[OpenArray | OpenObject, ...]
    begun: bytes | None
    whole: bool


def read_partial(text: bytes) -> Partial:
    """The state of a text that is the beginning of JSON; no other may be given."""
    levels: list[OpenArray | OpenObject] = []
    position, whole = 0, False
    while position < len(text):
        letter = text[position : position + 1]
        level = levels[-1] if levels else None
        if letter in b"{[":
            levels.append(OpenObject() if letter == b"{" else OpenArray())
        elif letter in b"}]":
            closed = levels.pop()
            value: Any = closed.items if isinstance(closed, OpenArray) else dict(closed.members)
            whole = _put(levels, value)
        elif letter == b",":
            assert level is not None
            level.after = "comma"
        elif letter == b":":
            assert isinstance(level, OpenObject)
            level.after = "colon"
        elif letter not in b" \n\t\r":
            match = (_STRING if letter == b'"' else _WORD).match(text, position)
            if match is None or (letter != b'"' and match.end() == len(text)):
                return Partial(tuple(levels), text[position:], whole=False)
            scalar = json.loads(match[0])
            if isinstance(level, OpenObject) and level.after in ("start", "comma"):
                level.key, level.after = scalar, "key"
            else:
                whole = _put(levels, scalar)
            position = match.end() - 1
        position += 1
    return Partial(tuple(levels), None, whole)


def _put(levels: list[OpenArray | OpenObject], value: Any) -> bool:
    """Add a whole value to the innermost level; True if it is the outermost itself."""
    if not levels:
        return True
    level = levels[-1]
    if isinstance(level, OpenArray):
        level.items.append(value)
    else:
        assert level.key is not None
        level.members.append((level.key, value))
        level.key = None
    level.after = "value"
    return False
