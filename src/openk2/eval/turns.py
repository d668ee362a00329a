"""Reference conversations as turns to be asked for: the history, and what the reference did."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.chat import (
    RenderError,
    call_of,
    canonical_history,
    content_of,
    is_unlearned,
    read_json,
)

Conversation = Mapping[str, Any]
Call = tuple[str, Any]

KINDS = ("single", "parallel", "sequence", "missing", "ambiguous", "refused", "none_needed",
         "error", "answer", "talk")  # fmt: skip


class ConversationError(ValueError):
    """A reference conversation that cannot be scored; the message says which, and why."""


@dataclass(frozen=True)
class Turn:
    """One assistant turn to be asked for: the history before it, and what the reference did.

    messages: in the form that every endpoint takes. kind: one of KINDS. conversation: its number;
    turns of one conversation are no independent trials.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]
    reference: tuple[Call, ...]
    text: str
    kind: str
    conversation: int = 0

    @property
    def after_result(self) -> bool:
        """Whether the history ends with a tool's result, and not with the user."""
        return bool(self.messages and self.messages[-1]["role"] == "tool")

    @property
    def later(self) -> bool:
        """Whether the user has spoken before: this is no longer their first request."""
        return len([message for message in self.messages if message["role"] == "user"]) > 1

    @property
    def last_message(self) -> str:
        """The text of the message to be answered; empty if there is none."""
        return content_of(self.messages[-1].get("content"), "content") if self.messages else ""

    def told_values(self) -> frozenset[str]:
        """The values of the tool results just before this turn that the reference's text tells."""
        contents = []
        for message in reversed(self.messages):
            if message["role"] != "tool":
                break
            contents.append(content_of(message.get("content"), "content"))
        values = frozenset(value for content in contents for value in _leaves(content))
        return frozenset(value for value in values if tells(self.text, value))


NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
LETTER = "[^\\W\u3400-\u9fff]"  # CJK ideographs have no spaces between words


def tells(text: str, value: str) -> bool:
    """Whether the text says the value, in lower case, as a whole word or number: neither "15" nor
    "5.5" says "5", "5km" does."""
    if NUMBER.fullmatch(value):
        whole = rf"(?<!{LETTER})(?<!-)(?<!\d[.,:]){re.escape(value)}(?!\d|[.,:]\d)"
    else:
        before = f"(?<!{LETTER})" if re.match(LETTER, value) else ""
        after = f"(?!{LETTER})" if re.match(LETTER, value[-1:]) else ""
        whole = before + re.escape(value) + after
    return re.search(whole, text.lower()) is not None


def reference_turns(conversation: Conversation, number: int = 0) -> list[Turn]:
    """The assistant turns of a conversation, each with the history before it.

    A message of `weight` 0 is no reference: it is in the histories, and its kind is passed over.
    The kinds are those of the key `kinds`, one for each assistant message; without it they follow
    from the structure: one call or several, an answer after a result, else talk. Raises
    ConversationError.
    """
    try:
        return _turns(conversation, number)
    except RenderError as error:
        raise ConversationError(str(error)) from error


def _turns(conversation: Conversation, number: int) -> list[Turn]:
    messages, tools = conversation["messages"], conversation.get("tools") or []
    asked = sum(message["role"] == "assistant" for message in messages)
    asked_after = _endpoint_messages(messages, number)
    kinds = iter(_own_kinds(conversation.get("kinds"), asked, number))
    turns = []
    for index, message in enumerate(messages):
        where = f"conversation {number}: messages[{index}]"
        # Read before anything is asked: an error must not come after the answers.
        text = content_of(message.get("content"), f"{where}.content")
        if message["role"] != "assistant":
            continue
        kind = next(kinds)
        if is_unlearned(message, where):
            continue
        calls = tuple(
            _reference_call(call, f"{where}.tool_calls[{place}]")
            for place, call in enumerate(message.get("tool_calls") or ())
        )
        history = asked_after[:index]
        kind = kind or _structural_kind(history, len(calls))
        turns.append(Turn(history, tools, calls, text, kind, number))
    return turns


def _endpoint_messages(
    messages: Sequence[Mapping[str, Any]], number: int
) -> Sequence[Mapping[str, Any]]:
    """The messages without what only fine-tuning rows have, which strict endpoints refuse."""
    sent = [
        _endpoint_message(message, f"conversation {number}: messages[{index}]")
        for index, message in enumerate(messages)
    ]
    # Prompts rename all ids in the same way, so that renaming them here changes no prompt.
    return sent if all(map(_has_ids, sent)) else canonical_history(sent).messages


def _endpoint_message(message: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    sent = {key: value for key, value in message.items() if key != "weight"}
    if message["role"] != "assistant" or not message.get("tool_calls"):
        return sent
    calls = []
    for place, call in enumerate(message["tool_calls"]):
        _, arguments = call_of(call, f"{where}.tool_calls[{place}]")
        function = {**call["function"], "arguments": arguments}
        calls.append({**call, "type": "function", "function": function})
    return {**sent, "tool_calls": calls}


def _has_ids(message: Mapping[str, Any]) -> bool:
    if message["role"] == "tool":
        return bool(message.get("tool_call_id"))
    return all(call.get("id") for call in message.get("tool_calls") or ())


def _reference_call(call: Any, where: str) -> Call:
    name, arguments = call_of(call, where)
    try:
        return name, read_json(arguments)
    except ValueError as error:
        raise ConversationError(
            f"{where}: the arguments of {name!r} are not JSON: {error}"
        ) from error


def _structural_kind(history: Sequence[Mapping[str, Any]], calls: int) -> str:
    if calls:
        return "parallel" if calls > 1 else "single"
    return "answer" if history and history[-1]["role"] == "tool" else "talk"


def _own_kinds(kinds: Any, count: int, number: int) -> Sequence[str | None]:
    """The kinds of `count` assistant messages as the conversation has them, None where it has none.

    Raises ConversationError for kinds that are no such list.
    """
    if kinds is None:
        return [None] * count
    if not isinstance(kinds, list) or len(kinds) != count:
        raise ConversationError(
            f"conversation {number}: kinds is {kinds!r}: give a list with one kind for each of the "
            f"{count} assistant turns, or leave it out"
        )
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise ConversationError(
            f"conversation {number}: kind {unknown[0]!r} is none of {', '.join(KINDS)}"
        )
    return kinds


def _leaves(content: str) -> list[str]:
    """The strings and numbers of a tool's JSON result in lower case; of other text, the text."""
    try:
        pending = [read_json(content)]
    except ValueError:
        return [content.lower()] if content else []
    leaves = []
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif value is not None and value != "" and not isinstance(value, bool):
            leaves.append(str(value).lower())
    return leaves
