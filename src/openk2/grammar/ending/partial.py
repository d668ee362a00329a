"""`Partial`: unfinished JSON: what is open, and the scalar that the text breaks off in."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_WORD = re.compile(rb"[-+.0-9a-zA-Z]+")


@dataclass
class OpenArray:
    """An open array. items: the complete ones. after: what the text ends with at this level."""

    items: list[Any] = field(default_factory=list)
    after: Literal["start", "value", "comma"] = "start"


@dataclass
class OpenObject:
    """An open object. members: the complete ones, in order. key: that of the unfinished one."""

    members: list[tuple[str, Any]] = field(default_factory=list)
    key: str | None = None
    after: Literal["start", "value", "comma", "key", "colon"] = "start"


@dataclass(frozen=True)
class Partial:
    """The first part of one value.

    levels: the open arrays and objects, outermost first. begun: the unfinished scalar or key that
    the text ends in. whole: whether the value is complete; a number at the end never is.
    """

    levels: tuple[OpenArray | OpenObject, ...]
    begun: bytes | None
    whole: bool


def read_partial(text: bytes) -> Partial:
    """Read the first part of a JSON text; the text must be one."""
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
    """Add a complete value to the innermost level; True if it is the outermost value."""
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
