"""Messages to a prompt, byte for byte as the published template of Kimi-K2-Instruct writes it.

The prompt is a list of pieces: markup, which becomes special ids, and ordinary text. So no text of
a user, a tool or a name can act as markup. Report appendix B. Only `encode_chat` deals with token
ids.
"""

import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from openk2.chat.tokenizer import Tokenizer
from openk2.chat.typescript import typescript

ToolFormat = Literal["json", "typescript"]

DEFAULT_SYSTEM_PROMPT = "You are Kimi, an AI assistant created by Moonshot AI."
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


@dataclass(frozen=True)
class PromptPiece:
    """A part of the prompt.

    control: the text is the name of a special token and becomes its id; otherwise ordinary text.
    learned: the assistant writes this part, so it is learned when training on the conversation.
    """

    text: str
    control: bool
    learned: bool


@dataclass(frozen=True)
class EncodedChat:
    """A conversation as tokens. token_ids and learned have one entry a token."""

    token_ids: list[int]
    learned: list[bool]


def render(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    generation_prompt: bool = True,
    tool_format: ToolFormat = "json",
) -> list[PromptPiece]:
    """The prompt of a conversation.

    messages, tools: as in OpenAI's chat completions. The default system prompt comes first if the
    first message is not a system message. generation_prompt: end with the assistant's header.
    tool_format: "json", as in the published template, or the report's shorter TypeScript.
    Raises RenderError naming the first message or tool that cannot be rendered.
    """
    if not _is_list(messages) or not messages:
        raise RenderError("messages", "must be a list of at least one message")
    pieces: list[PromptPiece] = []
    if tools:
        pieces += _turn("system", "tool_declare", _text(declare(tools, tool_format)))
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = _role(message, where)
        if index == 0 and role != "system":
            # The published template has a newline after this turn only.
            pieces += _turn("system", "system", _text(DEFAULT_SYSTEM_PROMPT)) + _text("\n")
        name = _optional_text(message, "name", where) or role
        pieces += _turn(role, name, _body(role, message, where))
    if generation_prompt:
        pieces += _header("assistant", "assistant")
    return pieces


def encode_chat(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    generation_prompt: bool = True,
    tool_format: ToolFormat = "json",
) -> EncodedChat:
    """The ids of `render`'s prompt, and which of them the assistant writes.

    Raises RenderError as `render` does.
    """
    encoded = EncodedChat([], [])
    pieces = render(messages, tools, generation_prompt=generation_prompt, tool_format=tool_format)
    for piece in pieces:
        ids = encode_piece(tokenizer, piece)
        encoded.token_ids.extend(ids)
        encoded.learned.extend([piece.learned] * len(ids))
    return encoded


def encode_piece(tokenizer: Tokenizer, piece: PromptPiece) -> list[int]:
    """Ids of one piece of a rendered prompt."""
    return [tokenizer.special(piece.text)] if piece.control else tokenizer.encode(piece.text)


def declare(tools: Sequence[Mapping[str, Any]], tool_format: ToolFormat = "json") -> str:
    """The tool declaration. JSON is compact, with sorted keys, and not escaped to ASCII.

    Raises RenderError if tools is not a list of OpenAI tools or JSON cannot express them.
    """
    if not _is_list(tools):
        raise RenderError("tools", f"must be a list, not {type(tools).__name__}")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            raise RenderError(f"tools[{index}].function.name", "must be a non-empty string")
    try:
        if tool_format == "typescript":
            return typescript([tool["function"] for tool in tools])
        return json.dumps(list(tools), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise RenderError("tools", f"cannot be written as JSON: {error}") from error


def _turn(role: str, name: str, body: list[PromptPiece]) -> list[PromptPiece]:
    return [*_header(role, name), *body, _control("<|im_end|>", learned=role == "assistant")]


def _header(role: str, name: str) -> list[PromptPiece]:
    return [_control(TURN_OPENERS[role]), *_text(name), _control("<|im_middle|>")]


def _body(role: str, message: Mapping[str, Any], where: str) -> list[PromptPiece]:
    content = _content(message.get("content"), f"{where}.content")
    if role == "tool":
        call_id = _required_text(message, "tool_call_id", where)
        return _text(f"## Return of {call_id}\n{content}")
    if role == "assistant":
        calls = list(_calls(message.get("tool_calls"), f"{where}.tool_calls"))
        return _text(content, learned=True) + _call_section(calls)
    return _text(content)


def _call_section(calls: list[tuple[str, str]]) -> list[PromptPiece]:
    """The tool section of (id, arguments) pairs; nothing for no calls."""
    if not calls:
        return []
    pieces = [_control("<|tool_calls_section_begin|>", learned=True)]
    for call_id, arguments in calls:
        pieces += [
            _control("<|tool_call_begin|>", learned=True),
            *_text(call_id, learned=True),
            _control("<|tool_call_argument_begin|>", learned=True),
            *_text(arguments, learned=True),
            _control("<|tool_call_end|>", learned=True),
        ]
    return [*pieces, _control("<|tool_calls_section_end|>", learned=True)]


def _control(name: str, learned: bool = False) -> PromptPiece:
    return PromptPiece(name, control=True, learned=learned)


def _text(text: str, learned: bool = False) -> list[PromptPiece]:
    return [PromptPiece(text, control=False, learned=learned)] if text else []


def _role(message: Mapping[str, Any], where: str) -> str:
    if not isinstance(message, Mapping):
        raise RenderError(where, f"must be an object, not {type(message).__name__}")
    role = message.get("role")
    if not isinstance(role, str) or role not in TURN_OPENERS:
        shown = reprlib.repr(role)
        raise RenderError(f"{where}.role", f"is {shown}: it must be one of {list(TURN_OPENERS)}")
    return role


def _content(content: Any, where: str) -> str:
    """The content as one string: a list's text parts are joined, None is empty."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not _is_list(content):
        raise RenderError(where, f"must be a string or a list, not {type(content).__name__}")
    return "".join(_part(part, f"{where}[{index}]") for index, part in enumerate(content))


def _part(part: Any, where: str) -> str:
    if not isinstance(part, Mapping):
        raise RenderError(where, f"must be an object, not {type(part).__name__}")
    if part.get("type") != "text":
        kind = reprlib.repr(part.get("type"))
        raise RenderError(where, f"has type {kind}: only text parts are supported")
    return _required_text(part, "text", where, empty=True)


def _calls(calls: Any, where: str) -> Iterator[tuple[str, str]]:
    """(id, arguments) of each of an assistant's tool calls."""
    if calls is None:
        return
    if not _is_list(calls):
        raise RenderError(where, f"must be a list, not {type(calls).__name__}")
    for index, call in enumerate(calls):
        place = f"{where}[{index}]"
        if not isinstance(call, Mapping):
            raise RenderError(place, f"must be an object, not {type(call).__name__}")
        call_id = _required_text(call, "id", place)
        function = call.get("function")
        if not isinstance(function, Mapping):
            raise RenderError(f"{place}.function", "must be an object with name and arguments")
        yield call_id, _arguments(function.get("arguments"), f"{place}.function.arguments")


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


def _required_text(message: Mapping[str, Any], key: str, where: str, *, empty: bool = False) -> str:
    value = message.get(key)
    if not isinstance(value, str) or not (value or empty):
        kind = "a string" if empty else "a non-empty string"
        raise RenderError(f"{where}.{key}", f"is {reprlib.repr(value)}: it must be {kind}")
    return value


def _optional_text(message: Mapping[str, Any], key: str, where: str) -> str | None:
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise RenderError(f"{where}.{key}", f"must be a string, not {type(value).__name__}")
    return value


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
