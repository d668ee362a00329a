"""Messages to a prompt, byte for byte as the published templates of K2's family write it.

`prompt_style` says how they differ; Kimi-K2-Instruct's is the default. The prompt is a list of
pieces: markup, which becomes special ids, and ordinary text. So no text of a user, a tool or a name
can act as markup. Report appendix B. Only `encode_chat` deals with token ids.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from openk2.chat.message_fields import (
    TURN_OPENERS,
    RenderError,
    calls_of,
    content_of,
    is_list,
    is_unlearned,
    optional_text,
    required_text,
    role_of,
)
from openk2.chat.prompt_style import (
    INSTRUCT,
    THINK,
    THINK_END,
    PromptStyle,
    Thinking,
    ToolFormat,
    first_thought,
)
from openk2.chat.tokenizer import Tokenizer
from openk2.chat.tool_namespaces import in_shown_order, sorted_keys, tool_namespaces
from openk2.chat.typescript import typescript

DEFAULT_SYSTEM_PROMPT = "You are Kimi, an AI assistant created by Moonshot AI."
DEFAULT_THINKING = Thinking()


@dataclass(frozen=True)
class PromptPiece:
    """A part of the prompt.

    control: the text is the name of a special token and becomes its id; otherwise ordinary text.
    learned: the assistant writes this part, so it is learned when training on the conversation.
    left_out: it belongs to an assistant message of weight 0, and is never learned.
    """

    text: str
    control: bool
    learned: bool
    left_out: bool = False


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
    tool_format: ToolFormat | None = None,
    style: PromptStyle = INSTRUCT,
    thinking: Thinking = DEFAULT_THINKING,
    begun: Mapping[str, Any] | None = None,
) -> list[PromptPiece]:
    """The prompt of a conversation.

    messages, tools: as in OpenAI's chat completions. The default system prompt comes first if the
    first message is not a system message. generation_prompt: end where the assistant goes on.
    tool_format: None, the style's own, or the report's shorter "typescript". begun: an assistant
    message that the answer goes on from, its thought closed. An assistant message with `weight` 0,
    as in OpenAI's fine-tuning rows, is not learned.
    Raises RenderError naming the first message or tool that cannot be rendered.
    """
    if not is_list(messages) or not messages:
        raise RenderError("messages", "must be a list of at least one message")
    pieces: list[PromptPiece] = []
    if tools:
        declared = declare(tools, tool_format or style.tools)
        pieces += _turn("system", "tool_declare", _text(declared))
    first = first_thought(messages, style, thinking)
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = role_of(message, where)
        if index == 0 and role != "system" and style.default_system:
            pieces += _turn("system", "system", _text(DEFAULT_SYSTEM_PROMPT))
            # K2-Instruct's template has a newline after this turn only.
            pieces += _text("\n") if style.newline else []
        name = optional_text(message, "name", where) or role
        thought = _thought(message, where, style, index >= first) if role == "assistant" else []
        turn = _turn(role, name, thought + _body(role, message, where))
        if is_unlearned(message, where):
            turn = [replace(piece, learned=False, left_out=True) for piece in turn]
        pieces += turn
    if generation_prompt and begun is not None:
        pieces += _begun(begun, style, messages)
    elif generation_prompt:
        pieces += _header("assistant", "assistant") + _opening(style, thinking)
    return pieces


def encode_chat(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    generation_prompt: bool = True,
    tool_format: ToolFormat | None = None,
    style: PromptStyle = INSTRUCT,
    thinking: Thinking = DEFAULT_THINKING,
    begun: Mapping[str, Any] | None = None,
) -> EncodedChat:
    """The ids of `render`'s prompt, and which of them the assistant writes.

    Raises RenderError as `render` does.
    """
    encoded = EncodedChat([], [])
    pieces = render(
        messages,
        tools,
        generation_prompt=generation_prompt,
        tool_format=tool_format,
        style=style,
        thinking=thinking,
        begun=begun,
    )
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

    tool_format: "typescript" is the report's; "namespaces" is that of K2.5 and later.
    Raises RenderError if tools is not a list of OpenAI tools or JSON cannot express them.
    """
    if not is_list(tools):
        raise RenderError("tools", f"must be a list, not {type(tools).__name__}")
    for index, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            raise RenderError(f"tools[{index}].function.name", "must be a non-empty string")
    try:
        if tool_format == "typescript":
            return typescript([tool["function"] for tool in tools])
        if tool_format == "namespaces" and (written := _namespaces(tools)):
            return written
        return json.dumps(list(tools), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise RenderError("tools", f"cannot be written as JSON: {error}") from error


def as_declared(
    tools: Sequence[Mapping[str, Any]], tool_format: ToolFormat = "json"
) -> Sequence[Mapping[str, Any]]:
    """The tools with the keys of their schemas in the order in which `declare` shows them.

    A model writes arguments in the order in which it reads them. tools: some that `declare` takes.
    """
    if tool_format == "typescript":
        return tools
    ordered = in_shown_order if tool_format == "namespaces" and _namespaces(tools) else sorted_keys
    return [ordered(tool) for tool in tools]


def _namespaces(tools: Sequence[Mapping[str, Any]]) -> str:
    """The declaration of K2.5 and later; empty, as in the published tokenizer, for tools that it
    cannot express: these models then get JSON."""
    try:
        return tool_namespaces(tools)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return ""


def _turn(role: str, name: str, body: list[PromptPiece]) -> list[PromptPiece]:
    return [*_header(role, name), *body, _control("<|im_end|>", learned=role == "assistant")]


def _header(role: str, name: str) -> list[PromptPiece]:
    return [_control(TURN_OPENERS[role]), *_text(name), _control("<|im_middle|>")]


def _body(role: str, message: Mapping[str, Any], where: str) -> list[PromptPiece]:
    content = content_of(message.get("content"), f"{where}.content")
    if role == "tool":
        call_id = required_text(message, "tool_call_id", where)
        return _text(f"## Return of {call_id}\n{content}")
    if role == "assistant":
        calls = list(calls_of(message.get("tool_calls"), f"{where}.tool_calls"))
        return _text(content, learned=True) + _call_section(calls)
    return _text(content)


def _thought(
    message: Mapping[str, Any], where: str, style: PromptStyle, kept: bool
) -> list[PromptPiece]:
    """The thought before an assistant's content, empty if it is not kept."""
    if not style.thinks:
        return []
    found = [field for field in style.fields if message.get(field) is not None]
    text = optional_text(message, found[0], where) if found and kept else ""
    return [
        # Where the prompt opens the thought, the assistant does not write that.
        _control(THINK, learned=kept and not style.opens),
        *_text(text or "", learned=True),
        _control(THINK_END, learned=kept),
    ]


def _opening(style: PromptStyle, thinking: Thinking) -> list[PromptPiece]:
    """What follows the header of a turn to generate."""
    if not style.opens:
        return []
    off = thinking.enabled is False
    return [_control(THINK), *([_control(THINK_END)] if off else [])]


def _begun(
    message: Mapping[str, Any], style: PromptStyle, before: Sequence[Any]
) -> list[PromptPiece]:
    """The header and beginning of a turn to go on with."""
    where = f"messages[{len(before)}]"
    header = _header("assistant", optional_text(message, "name", where) or "assistant")
    return [*header, *_thought(message, where, style, True), *_body("assistant", message, where)]


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
