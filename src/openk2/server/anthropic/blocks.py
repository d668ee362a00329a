"""Anthropic's `system` and `messages` -> the messages that the renderer takes, in OpenAI's form.

Neighbouring messages of one role are one turn, their texts a blank line apart; the blocks of one
message are joined as they are. Tool results come before the text that was sent beside them.
"""

import json
import logging
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from openk2.server.anthropic.documents import document_text
from openk2.server.anthropic.ids import call_id_of
from openk2.server.refusals import invalid
from openk2.server.replayed import note, past, reference
from openk2.server.thoughts import ThoughtSigner

logger = logging.getLogger(__name__)

ContentBlock = Mapping[str, Any]
# A block and its place in the body, such as messages[0].content.
Placed = tuple[str, ContentBlock]

ROLES = ("user", "assistant", "system")
CLEAR_AT = (None, "never", "next_user_message")
# A coding agent puts a fresh hash here on every request. If it were kept, the rest of the prompt
# could never come from the prefix cache.
BILLING_HEADER = "x-anthropic-billing-header:"


def chat_messages(
    system: Any, messages: Sequence[ContentBlock], signer: ThoughtSigner
) -> list[dict[str, Any]]:
    """The conversation. Raises ApiError 400 with the place of what cannot be understood.

    signer: verifies thoughts; those that do not verify are dropped.
    """
    instructions = [] if system is None else [read_blocks(system, "system")]
    turns = system_turns(instructions)
    placed = [(f"messages[{index}]", message) for index, message in enumerate(messages)]
    old = {place for place, _ in placed[: past(messages)]}
    for role, run in groupby(uncleared(placed), lambda pair: read_role(*pair)):
        group = list(run)
        contents = [read_content(place, one) for place, one in group]
        match role:
            case "user":
                turns += user_turns(contents, [place in old for place, _ in group])
            case "assistant":
                turns += assistant_turns(contents, signer)
            case _:
                turns += system_turns(contents)
    return turns


def read_role(place: str, message: ContentBlock) -> str:
    """The message's role. Raises ApiError 400."""
    role = message.get("role")
    if role not in ROLES:
        shown = reprlib.repr(role)
        raise invalid(f"{place}.role", f'is {shown}: it must be "user" or "assistant"')
    return str(role)


def uncleared(placed: Sequence[Placed]) -> list[Placed]:
    """The messages without the system messages that were for an earlier user turn only.

    Raises ApiError 400 for a `clear_at` that is not known, and for a tool that a cleared one
    removes: what it says of tools holds on.
    """
    users = [index for index, (_, one) in enumerate(placed) if one.get("role") == "user"]
    kept = []
    for index, (place, one) in enumerate(placed):
        until = one.get("clear_at")
        if until not in CLEAR_AT or (until is not None and one.get("role") != "system"):
            known = '"next_user_message" or "never", of a system message'
            raise invalid(f"{place}.clear_at", f"is {reprlib.repr(until)}: it must be {known}")
        if until == "next_user_message" and users and index < users[-1]:
            system_turns([read_content(place, one)])
        else:
            kept.append((place, one))
    return kept


def read_content(place: str, message: ContentBlock) -> list[Placed]:
    """The blocks of a message; a system message may have none. Raises ApiError 400."""
    content = message.get("content")
    if content is None and message.get("role") == "system":
        return []
    return read_blocks(content, f"{place}.content")


def read_blocks(content: Any, place: str) -> list[Placed]:
    """A message's blocks; a string is one block of text. Raises ApiError 400."""
    if isinstance(content, str):
        return [(place, {"type": "text", "text": content})]
    if not isinstance(content, list):
        raise invalid(place, "must be a string or a list of blocks")
    blocks = [(f"{place}[{index}]", block) for index, block in enumerate(content)]
    for where, block in blocks:
        if not isinstance(block, Mapping):
            raise invalid(where, "must be an object with a type")
    return blocks


def system_turns(contents: Sequence[list[Placed]]) -> list[dict[str, Any]]:
    """One turn for each, except empty ones."""
    texts = ["".join(system_texts(blocks)) for blocks in contents]
    return [{"role": "system", "content": text} for text in texts if text]


def system_texts(blocks: list[Placed]) -> Iterator[str]:
    """The texts that are meant for the model, also of tools that are declared from now on."""
    for place, block in blocks:
        text = reference(block) or read_text(place, block, "a system prompt", "tool_addition")
        if not text.startswith(BILLING_HEADER):
            yield text


def user_turns(contents: Sequence[list[Placed]], is_old: Sequence[bool]) -> list[dict[str, Any]]:
    """The tool results in the order they came, then what the user says, if anything.

    is_old: which are not new, so that what cannot be read there becomes a note.
    """
    results: list[dict[str, Any]] = []
    texts: list[str] = []
    for blocks, old in zip(contents, is_old, strict=True):
        text = ""
        for place, block in blocks:
            if block.get("type") == "tool_result":
                results.append(tool_turn(place, block))
            elif old:
                text += text_or_note(place, block)
            elif (held := document_text(block)) is not None:
                text += held
            else:
                others = ("tool_result", "search_result", "documents that are text")
                text += read_text(place, block, "a user message", *others)
        texts.append(text)
    said = joined(texts)
    return [*results, {"role": "user", "content": said}] if said or not results else results


def tool_turn(place: str, block: ContentBlock) -> dict[str, Any]:
    """A tool's result. An error is marked in its text, since K2 has no field for it.

    An image or a PDF, which no agent can take back, becomes a note.
    """
    content = block.get("content")
    blocks = [] if content is None else read_blocks(content, f"{place}.content")
    text = "".join(text_or_note(*placed) for placed in blocks)
    if read_flag(place, block, "is_error"):
        text = f"Error: {text}"
    call_id = call_id_of(read_name(place, block, "tool_use_id"))
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def assistant_turns(
    contents: Sequence[list[Placed]], signer: ThoughtSigner
) -> list[dict[str, Any]]:
    """One turn of text and calls; none if there is neither.

    Its thoughts are `reasoning_content`. Those that do not verify, and redacted ones, which this
    server never sends, are dropped.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for blocks in contents:
        text = thought = ""
        for place, block in blocks:
            match block.get("type"):
                case "tool_use":
                    calls.append(call(place, block))
                case "thinking":
                    thought += verified(block, signer)
                case "redacted_thinking":
                    pass
                case _:
                    text += read_text(place, block, "an assistant message", "tool_use", "thinking")
        texts.append(text)
        thoughts.append(thought)
    said, thought = joined(texts), joined(thoughts)
    if not said and not calls:
        return []
    turn: dict[str, Any] = {"role": "assistant", "content": said}
    if thought:
        turn["reasoning_content"] = thought
    return [{**turn, **({"tool_calls": calls} if calls else {})}]


def verified(block: ContentBlock, signer: ThoughtSigner) -> str:
    """The thought of a block; empty unless this server's model wrote it."""
    thought = block.get("thinking")
    if not isinstance(thought, str) or not signer.verifies(thought, block.get("signature")):
        logger.info("dropped a thought whose signature does not verify")
        return ""
    return thought


def call(place: str, block: ContentBlock) -> dict[str, Any]:
    """A tool_use block as OpenAI's tool call."""
    given = block.get("input")
    if not isinstance(given, Mapping):
        raise invalid(f"{place}.input", f"is {reprlib.repr(given)}: it must be an object")
    try:
        arguments = json.dumps(given, ensure_ascii=False)  # as the published template writes it
    except RecursionError as error:
        raise invalid(f"{place}.input", "is nested too deeply to be written as JSON") from error
    function = {"name": read_name(place, block, "name"), "arguments": arguments}
    call_id = call_id_of(read_name(place, block, "id"))
    return {"id": call_id, "type": "function", "function": function}


def read_text(place: str, block: ContentBlock, where: str, *others: str) -> str:
    """A text block's text. Raises ApiError 400; others: what else `where` may hold."""
    kind = block.get("type")
    if kind != "text":
        known = ", ".join(["text", *others])
        problem = f"has type {reprlib.repr(kind)}: in {where} this server takes {known}"
        raise invalid(place, problem)
    text = block.get("text")
    if not isinstance(text, str):
        raise invalid(f"{place}.text", f"is {reprlib.repr(text)}: it must be a string")
    return text


def text_or_note(place: str, block: ContentBlock) -> str:
    """The text of a block of text or of a document that is text, or a note in its place."""
    kind = block.get("type")
    if kind == "text" or not isinstance(kind, str):
        return read_text(place, block, "a tool_result")
    held = document_text(block)
    return held if held is not None else reference(block) or note(kind)


def read_name(place: str, block: ContentBlock, field: str) -> str:
    """A field that must be a string and not empty. Raises ApiError 400."""
    value = block.get(field)
    if not isinstance(value, str) or not value:
        raise invalid(f"{place}.{field}", f"is {reprlib.repr(value)}: it must be a string")
    return value


def read_flag(place: str, block: ContentBlock, field: str) -> bool:
    """A field that is true, false or absent. Raises ApiError 400."""
    value = block.get(field)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{place}.{field}", f"is {reprlib.repr(value)}: it must be true or false")
    return bool(value)


def joined(texts: Sequence[str]) -> str:
    """The texts of several messages of one turn, a blank line apart."""
    return "\n\n".join(text for text in texts if text)
