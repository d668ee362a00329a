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


def reference(part: Mapping[str, Any]) -> str | None:
    """The text of a `tool_reference` or `tool_addition`, by which a client names tools that it
    declares from now on; None for another part."""
    name = referred_tool(part)
    return None if name is None else f"The tool {name} is available.\n"


def referred_tool(part: Any) -> str | None:
    """The tool that a part names; None for a part that names none."""
    match part:
        case {"type": "tool_reference", "tool_name": str(name)}:
            return name
        case {"type": "tool_addition", "tool": {"type": "tool_reference", "name": str(name)}}:
            return name
    return None


def past(messages: Sequence[Any]) -> int:
    """How many messages are not new: those before the user's last one and up to the assistant's.

    A message that was refused has no answer, and stays in the history of its client.
    """
    roles = [message.get("role") if isinstance(message, Mapping) else None for message in messages]
    latest = [index for index, role in enumerate(roles) if role == "user"][-1:]
    answers = [index + 1 for index, role in enumerate(roles) if role == "assistant"][-1:]
    return max([0, *latest, *answers])


def readable(messages: Sequence[Any]) -> list[Any]:
    """OpenAI's messages with text in the place of what cannot be read.

    An assistant's refusals become text, and its thoughts `reasoning_content`, which the prompts of
    models without thoughts leave out. Other parts become a note: in a tool's result always, since
    an agent cannot take it back; in a user's message once another one or an answer follows.
    """
    old = past(messages)
    return [readable_message(message, index < old) for index, message in enumerate(messages)]


def readable_message(message: Any, is_past: bool) -> Any:
    """One message; what is malformed is left for the renderer to report."""
    if not isinstance(message, Mapping):
        return message
    role, content = message.get("role"), message.get("content")
    refusal = message.get("refusal")
    if role == "assistant":
        message = with_thought(message)
    if role == "assistant" and not content and isinstance(refusal, str) and refusal:
        return {**message, "content": refusal}
    if not isinstance(content, list):
        return message
    if role == "assistant":
        parts = [part for part in map(spoken_part, content) if part is not None]
    elif role == "tool" or (role == "user" and is_past):
        parts = [noted_part(part) for part in content]
    else:
        return message
    return {**message, "content": parts}


def with_thought(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """An assistant's message with its thought in `reasoning_content`, wherever its client put it:
    there, in `reasoning` (vLLM's newer name), or in parts of the content."""
    if message.get("reasoning_content") is not None:
        return message
    thought = message.get("reasoning")
    content = message.get("content")
    if thought is None and isinstance(content, list):
        parts = [part for part in content if isinstance(part, Mapping)]
        texts = [thought_text(part) for part in parts if part.get("type") in THOUGHTS]
        thought = "".join(texts) or None
    return message if thought is None else {**message, "reasoning_content": thought}


def thought_text(part: Mapping[str, Any]) -> str:
    """The text of a part that is a thought."""
    found = (part.get(name) for name in ("thinking", "text", "reasoning_content", "reasoning"))
    return next((text for text in found if isinstance(text, str)), "")


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
    return {"type": "text", "text": reference(part) or note(kind)}
