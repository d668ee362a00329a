"""Conversation history as K2 expects it, whoever's client wrote it.

K2 learned ids of the form `functions.NAME:IDX` with IDX counting the conversation's calls; after
foreign ids (`call_...`, UUIDs, counters that restart each turn) it goes silent or copies them. So
every request's history is renamed before rendering. Ids that follow the rule come out unchanged.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.chat.call_ids import call_id


@dataclass(frozen=True)
class CanonicalHistory:
    """Messages ready to render.

    call_count: calls in the history, which is the number of the next one
    (`OutputParser.first_number`).
    """

    messages: list[Mapping[str, Any]]
    call_count: int


def canonical_history(messages: Sequence[Mapping[str, Any]]) -> CanonicalHistory:
    """Rename all call ids by the running counter; name each tool message after its call.

    A tool message answers the oldest unanswered call with its id, else the oldest unanswered
    call, else the last call that had its id; one without any call is left as it is. What is
    malformed is left for `render` to report.
    """
    calls: list[_Call] = []
    renamed: list[Mapping[str, Any]] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "assistant" and isinstance(message.get("tool_calls"), list | tuple):
            tool_calls = list(_renamed_calls(message["tool_calls"], calls))
            renamed.append({**message, "tool_calls": tool_calls})
        elif role == "tool" and (call := _answered(message.get("tool_call_id"), calls)):
            call.answered = True
            name = message.get("name") or call.name
            renamed.append({**message, "tool_call_id": call.new_id, "name": name})
        else:
            renamed.append(message)
    return CanonicalHistory(renamed, len(calls))


@dataclass
class _Call:
    old_id: Any
    new_id: str
    name: str
    answered: bool = False


def _renamed_calls(tool_calls: Sequence[Any], calls: list[_Call]) -> Iterator[Any]:
    """The calls under their new ids; each is noted in `calls`."""
    for tool_call in tool_calls:
        function = tool_call.get("function") if isinstance(tool_call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            yield tool_call
            continue
        call = _Call(tool_call.get("id"), call_id(name, len(calls)), name)
        calls.append(call)
        yield {**tool_call, "id": call.new_id}


def _answered(old_id: Any, calls: Sequence[_Call]) -> _Call | None:
    """The call that a tool message with this id answers."""
    unanswered = [call for call in calls if not call.answered]
    same = [call for call in unanswered if call.old_id == old_id]
    before = [call for call in reversed(calls) if call.old_id == old_id]
    return next(iter([*same, *unanswered, *before]), None)
