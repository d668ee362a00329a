"""Conversation history with the call ids that K2 expects, whatever client wrote it.

K2 was trained on ids of the form `functions.NAME:IDX`, with IDX counting the conversation's calls.
After other ids (`call_...`, UUIDs, counters that restart each turn) it stops answering or copies
them. So every request's history is renamed before rendering; canonical ids stay as they are.
"""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openk2.chat.call_ids import call_id


@dataclass(frozen=True)
class CanonicalHistory:
    """Messages ready to render.

    call_count: how many calls the history has, which is the number of the next one
    (`OutputParser.first_number`).
    """

    messages: list[Mapping[str, Any]]
    call_count: int


def canonical_history(messages: Sequence[Mapping[str, Any]]) -> CanonicalHistory:
    """Rename all call ids by a running counter, and name each tool message after its call.

    A tool message answers the oldest unanswered call with its id, else the oldest unanswered call,
    else the last call that had its id or has it now; without any call it is left as it is. So a
    canonical history comes out unchanged. Nothing raises: `render` reports malformed messages.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        return CanonicalHistory([], 0)
    calls = _Calls()
    renamed: list[Mapping[str, Any]] = []
    for message in messages:
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "assistant" and isinstance(message.get("tool_calls"), list | tuple):
            tool_calls = list(_renamed_calls(message["tool_calls"], calls))
            renamed.append({**message, "tool_calls": tool_calls})
        elif role == "tool" and (call := calls.answered_by(message.get("tool_call_id"))):
            name = message.get("name") or call.name
            renamed.append({**message, "tool_call_id": call.new_id, "name": name})
        else:
            renamed.append(message)
    return CanonicalHistory(renamed, calls.count)


@dataclass(frozen=True)
class _Call:
    new_id: str
    name: str


class _Calls:
    """The calls so far. Finding a result's call takes constant time, however long the history."""

    def __init__(self) -> None:
        self.count = 0
        # Unanswered calls, oldest first. A plain dict would search for its first key.
        self._waiting: OrderedDict[_Call, None] = OrderedDict()
        self._by_old_id: defaultdict[str | None, deque[_Call]] = defaultdict(deque)
        self._by_new_id: dict[str, _Call] = {}

    def add(self, old_id: Any, name: str) -> _Call:
        """Add the next call."""
        call = _Call(call_id(name, self.count), name)
        self.count += 1
        self._waiting[call] = None
        self._by_old_id[_key(old_id)].append(call)
        self._by_new_id[call.new_id] = call
        return call

    def answered_by(self, old_id: Any) -> _Call | None:
        """The call that a result with this id answers, which is then answered."""
        key = _key(old_id)
        same = self._by_old_id[key]
        while len(same) > 1 and same[0] not in self._waiting:
            same.popleft()
        call = same[0] if same else self._by_new_id.get(key or "")
        if call not in self._waiting:
            call = next(iter(self._waiting), call)
        if call is not None:
            self._waiting.pop(call, None)
        return call


def _key(old_id: Any) -> str | None:
    """The id as a key; ids that are not strings, which no client should send, share one."""
    return old_id if isinstance(old_id, str) else None


def _renamed_calls(tool_calls: Sequence[Any], calls: _Calls) -> Iterator[Any]:
    """The calls with their new ids; each is added to `calls`."""
    for tool_call in tool_calls:
        function = tool_call.get("function") if isinstance(tool_call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name:
            yield tool_call
            continue
        yield {**tool_call, "id": calls.add(tool_call.get("id"), name).new_id}
