"""Parts of earlier turns that a text model cannot read, so that a session can go on.

A client repeats its whole history with every request. What this server refused once, or another
model wrote, would otherwise be refused for ever: an image that a tool returned, a refusal, a
thought. What is new is not touched here: an image in the user's latest message is still refused by
name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

THOUGHTS = ("thinking", "redacted_thinking", "reasoning", "reasoning_content")


def note(kind: object) -> str:
    """The text that stands in the place of a part of this type."""
    return f"[{kind} omitted: this model reads text only]"


def answered(messages: Sequence[Any]) -> int:
    """How many messages the assistant has seen: up to and with its last one."""
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    return max((index + 1 for index, role in enumerate(roles) if role == "assistant"), default=0)


def readable(messages: Sequence[Any]) -> list[Any]:
    """OpenAI's messages with text in the place of what cannot be read.

    An assistant's refusals become text and its thoughts are dropped, as K2-Instruct's template has
    no place for them. Other parts become a note: in a tool's result always, since an agent cannot
    take it back; in a user's message once it has been answered.
    """
    seen = answered(messages)
    return [readable_message(message, index < seen) for index, message in enumerate(messages)]


def readable_message(message: Any, is_answered: bool) -> Any:
    """One message; what is malformed is left for the renderer to report."""
    if not isinstance(message, Mapping):
        return message
    role, content = message.get("role"), message.get("content")
    refusal = message.get("refusal")
    if role == "assistant" and not content and isinstance(refusal, str) and refusal:
        return {**message, "content": refusal}
    if not isinstance(content, list):
        return message
    if role == "assistant":
        parts = [part for part in map(spoken_part, content) if part is not None]
    elif role == "tool" or (role == "user" and is_answered):
        parts = [noted_part(part) for part in content]
    else:
        return message
    return {**message, "content": parts}


def spoken_part(part: Any) -> Any:
    """A part of the assistant's own turn; None for a thought."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in THOUGHTS:
        return None
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    return noted_part(part) if kind in ("audio", "image", "image_url") else part


def noted_part(part: Any) -> Any:
    """A text part as it is, another one as its note."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" or not isinstance(kind, str):
        return part
    return {"type": "text", "text": note(kind)}
