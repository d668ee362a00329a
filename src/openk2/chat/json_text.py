"""JSON text as it streams: whether its end is inside a string, and what it is once complete."""

import json
import re
from enum import Enum, auto
from typing import NoReturn

_STRING_STOP = re.compile(r'["\\]')
# One that the text ends inside matches too, so that no quote is tried twice.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


class JsonState(Enum):
    """Where JSON text ends: outside strings, inside one, or after a backslash in one."""

    OUTSIDE = auto()
    STRING = auto()
    ESCAPE = auto()


def advance_json(state: JsonState, text: str, start: int, end: int) -> JsonState:
    """The state at `end` of the text, given the state at `start`."""
    position = start
    while position < end:
        if state is JsonState.OUTSIDE:
            quote = text.find('"', position, end)
            if quote < 0:
                return state
            state, position = JsonState.STRING, quote + 1
        elif state is JsonState.ESCAPE:
            state, position = JsonState.STRING, position + 1
        else:
            stop = _STRING_STOP.search(text, position, end)
            if stop is None:
                return state
            state = JsonState.OUTSIDE if stop[0] == '"' else JsonState.ESCAPE
            position = stop.end()
    return state


def string_end(state: JsonState, text: str) -> tuple[JsonState, int | None]:
    """Where in the text the open string ends, after its quote; None if it does not.

    state: in the string, at the start of the text. Returns the state at that place, or at the end.
    """
    position = 0
    while position < len(text):
        if state is JsonState.ESCAPE:
            state, position = JsonState.STRING, position + 1
            continue
        stop = _STRING_STOP.search(text, position)
        if stop is None:
            break
        position = stop.end()
        if stop[0] == '"':
            return JsonState.OUTSIDE, position
        state = JsonState.ESCAPE
    return state, None


def json_keys(text: str) -> frozenset[str] | None:
    """The keys of a JSON object; none for other JSON; None if the text is not JSON."""
    try:
        value = _parsed(text)
    except (ValueError, RecursionError):
        return None
    return frozenset(value) if isinstance(value, dict) else frozenset()


def is_json_object(text: str) -> bool:
    """Whether the text is one complete JSON object."""
    return text.startswith("{") and text.endswith("}") and json_keys(text) is not None


def breaks_off(text: str) -> bool:
    """Whether JSON text ends inside an object or a list; what is malformed may end nowhere."""
    bare = _STRING.sub("", text)
    return bare.count("{") + bare.count("[") > bare.count("}") + bare.count("]")


def _parsed(text: str) -> object:
    # Not int(), which refuses numbers of thousands of digits. NaN and Infinity are not JSON.
    return json.loads(text, parse_int=float, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
