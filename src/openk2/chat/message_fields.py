"""The fields of OpenAI's messages as a prompt needs them, checked; what is malformed is named."""

import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TURN_OPENERS: Mapping[str, str] = {
    "system": "<|im_system|>",
    "user": "<|im_user|>",
    "assistant": "<|im_assistant|>",
    "tool": "<|im_system|>",
}


class RenderError(ValueError):
    """A message or tool that cannot be rendered. param: where, such as "messages[2].content"."""

    def __init__(self, param: str, problem: str) -> None:
        super().__init__(f"{param} {problem}")
        self.param = param


def role_of(message: Mapping[str, Any], where: str) -> str:
    """The role. Raises RenderError for one that K2 has no turn for."""
    if not isinstance(message, Mapping):
        raise RenderError(where, f"must be an object, not {type(message).__name__}")
    role = message.get("role")
    if not isinstance(role, str) or role not in TURN_OPENERS:
        shown = reprlib.repr(role)
        raise RenderError(f"{where}.role", f"is {shown}: it must be one of {list(TURN_OPENERS)}")
    return role


def is_unlearned(message: Mapping[str, Any], where: str) -> bool:
    """Whether it is an assistant message of `weight` 0: read, but no example to learn from.

    Raises RenderError for a weight that is neither 0 nor 1.
    """
    weight = message.get("weight")
    if weight not in (None, 0, 1):
        raise RenderError(f"{where}.weight", f"must be 0 or 1, not {weight!r}")
    return message.get("role") == "assistant" and weight == 0


def content_of(content: Any, where: str) -> str:
    """The content as one string: a list's text parts are joined, None is empty."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not is_list(content):
        raise RenderError(where, f"must be a string or a list, not {type(content).__name__}")
    return "".join(_part(part, f"{where}[{index}]") for index, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    if not isinstance(part, Mapping):
        raise RenderError(where, f"must be an object, not {type(part).__name__}")
    if part.get("type") != "text":
        kind = reprlib.repr(part.get("type"))
        raise RenderError(where, f"has type {kind}: only text parts are supported")
    return required_text(part, "text", where, empty=True)


def calls_of(calls: Any, where: str) -> Iterator[tuple[str, str]]:
    """(id, arguments) of each of an assistant's tool calls."""
    if calls is None:
        return
    if not is_list(calls):
        raise RenderError(where, f"must be a list, not {type(calls).__name__}")
    for index, call in enumerate(calls):
        place = f"{where}[{index}]"
        function = _function_of(call, place)
        call_id = required_text(call, "id", place)
        yield call_id, _arguments(function.get("arguments"), f"{place}.function.arguments")


def call_of(call: Any, where: str) -> tuple[str, str]:
    """(name, arguments) of one tool call; it needs no id. Raises RenderError."""
    function = _function_of(call, where)
    name = required_text(function, "name", f"{where}.function")
    return name, _arguments(function.get("arguments"), f"{where}.function.arguments")


def _function_of(call: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(call, Mapping):
        raise RenderError(where, f"must be an object, not {type(call).__name__}")
    function = call.get("function")
    if not isinstance(function, Mapping):
        raise RenderError(f"{where}.function", "must be an object with name and arguments")
    return function


def _arguments(arguments: Any, where: str) -> str:
    """A string verbatim, valid JSON or not; an object as JSON with default separators."""
    if isinstance(arguments, str):
        return arguments
    if not isinstance(arguments, Mapping):
        raise RenderError(where, f"must be a string or an object, not {type(arguments).__name__}")
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RenderError(where, f"cannot be written as JSON: {error}") from error


def required_text(message: Mapping[str, Any], key: str, where: str, *, empty: bool = False) -> str:
    """A field that must be a string, and not empty unless `empty`. Raises RenderError."""
    value = message.get(key)
    if not isinstance(value, str) or not (value or empty):
        kind = "a string" if empty else "a non-empty string"
        raise RenderError(f"{where}.{key}", f"is {reprlib.repr(value)}: it must be {kind}")
    return value


def optional_text(message: Mapping[str, Any], key: str, where: str) -> str | None:
    """A field that may be absent or null. Raises RenderError for what is no string."""
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise RenderError(f"{where}.{key}", f"must be a string, not {type(value).__name__}")
    return value


def is_list(value: Any) -> bool:
    """Whether the value is a list or a tuple."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
