"""`TurnNames`: what an assistant's turn is found by when its client sends it back.

A client may drop the reasoning of a turn, rename its calls, write their arguments anew, or drop
the text beside them. It may also shorten what came before. A turn has several names, each a digest
of the turn and of some of its surroundings, the most certain one first:

- everything before it, and the turn;
- what came since the assistant's last turn, and the turn; or, for its calls, their ids;
- the user's first message, and the turn; or its calls with their ids.

No name is of a turn alone: `functions.list:0` is the first call of many conversations. All names
contain the tenant, so none is found with another API key.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

PURPOSE = b"openk2 turn 1"
# Values in the arguments of a call; a body's limit on values does not see those inside a text, and
# megabytes of brackets would be gigabytes of lists.
MOST_VALUES = 20_000


class TurnNames:
    """Reads one conversation's messages in order; ask for a turn's names before reading it.

    tenant: whose conversation it is.
    """

    def __init__(self, tenant: str) -> None:
        self._seed = digest(PURPOSE, text_bytes(tenant))
        self._before = hashlib.sha256(self._seed)
        self._near = hashlib.sha256(self._seed)
        self._start: bytes | None = None

    def of(self, turn: Mapping[str, Any]) -> tuple[bytes, ...]:
        """The names of an assistant's turn that comes next. The first one is certain."""
        calls = calls_of(turn)
        said = content_bytes(turn)
        whole = digest(said, *(part for _, name, given in calls for part in (name, given)))
        contexts = [(b"near", self._near.digest())]
        if self._start is not None:
            contexts.append((b"start", self._start))
        names = [digest(self._seed, b"before", self._before.digest(), whole)]
        for kind, context in contexts:
            names.append(digest(self._seed, kind, context, whole))
            if calls:
                named = digest(*(part for call in calls for part in call))
                names.append(digest(self._seed, kind, b"calls", context, named))
        return tuple(names)

    def read(self, message: Mapping[str, Any]) -> None:
        """Go on after a message."""
        role = message.get("role")
        calls = [part for _, name, given in calls_of(message) for part in (name, given)]
        one = digest(text_bytes(str(role)), content_bytes(message), *calls)
        self._before.update(one)
        if role == "assistant":
            self._near = hashlib.sha256(self._seed)
        elif role != "system":
            self._near.update(one)
            if role == "user" and self._start is None:
                self._start = one


def digest(*parts: bytes) -> bytes:
    """SHA-256 of the parts, each after its length, so that no two lists of parts are one text."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.digest()


def text_bytes(text: str) -> bytes:
    """The text in UTF-8; a lone surrogate, which JSON can hold, must not fail."""
    return text.encode("utf-8", "surrogatepass")


def content_bytes(message: Mapping[str, Any]) -> bytes:
    """A message's text, however its content is written, without white space around it."""
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "".join(text for text in texts if isinstance(text, str))
    return text_bytes(content.strip()) if isinstance(content, str) else b""


def calls_of(message: Mapping[str, Any]) -> list[tuple[bytes, bytes, bytes]]:
    """The id, name and arguments of each call; none for what is no call."""
    found = []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list | tuple) else ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            parts = (call.get("id"), function.get("name"))
            known = [text_bytes(part) if isinstance(part, str) else b"" for part in parts]
            found.append((known[0], known[1], argument_bytes(function.get("arguments"))))
    return found


def arguments_of(message: Any) -> list[Any]:
    """The arguments of each call, as they are written."""
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    functions = [
        call.get("function")
        for call in (calls if isinstance(calls, list | tuple) else ())
        if isinstance(call, Mapping)
    ]
    return [one.get("arguments") for one in functions if isinstance(one, Mapping)]


def argument_bytes(arguments: Any) -> bytes:
    """A call's arguments, the same for every way of writing the same JSON."""
    if isinstance(arguments, str):
        if sum(map(arguments.count, ",[{")) > MOST_VALUES:
            return text_bytes(arguments.strip())
        try:
            value = json.loads(arguments or "{}")
        except (ValueError, RecursionError):
            return text_bytes(arguments.strip())
    else:
        value = arguments
    try:
        return json.dumps(plain(value), sort_keys=True, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        return text_bytes(str(arguments))


def plain(value: Any) -> Any:
    """The value with whole floats as integers: JavaScript writes 1.0 as 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
