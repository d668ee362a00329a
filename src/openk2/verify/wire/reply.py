"""`Reply`: an answer of chat completions, whole or streamed, read leniently.

Malformed parts are recorded in `faults`, which `answer-form` and `stream-form` judge. Every other
check ignores them and reads what the answer says, so that one fault fails one check.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openk2.verify.wire.endpoint import EndpointFault, Response, shown
from openk2.verify.wire.events import DONE, read_events
from openk2.verify.wire.forms import stream_faults, whole_faults


@dataclass(frozen=True)
class ReplyCall:
    """A tool call; arguments as text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Reply:
    """What an answer says.

    usage: where OpenAI's clients read it; choice_usage: in `choices[0]`. chunks: of a stream.
    """

    content: str
    calls: tuple[ReplyCall, ...]
    finish_reason: str | None
    usage: Mapping[str, Any] | None = None
    choice_usage: Mapping[str, Any] | None = None
    faults: tuple[str, ...] = ()
    chunks: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def said(self) -> tuple[str, tuple[ReplyCall, ...], str | None]:
        """What must be the same whole and streamed."""
        return self.content, self.calls, self.finish_reason

    def tokens(self, part: str) -> int | None:
        """Tokens of the "prompt" or of the "completion"; None if the endpoint does not say."""
        count = (self.usage or {}).get(f"{part}_tokens")
        return count if isinstance(count, int) else None

    def message(self) -> dict[str, Any]:
        """The assistant's turn as a client sends it back."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content or None}
        if self.calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.calls
            ]
        return message


def read_whole(response: Response) -> Reply:
    """A whole answer. Raises EndpointFault if there is no choice in it."""
    body = response.json()
    try:
        choice = body["choices"][0]
        message = choice["message"]
        calls = [_call(entry) for entry in message.get("tool_calls") or ()]
        return Reply(
            _text(message.get("content")),
            tuple(calls),
            choice.get("finish_reason"),
            _counts(body.get("usage")),
            faults=tuple(whole_faults(body)),
        )
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise EndpointFault(f"no chat completion: {shown(response.text)}") from error


def read_stream(response: Response) -> Reply:
    """A streamed answer, joined. Raises EndpointFault if it is not a stream of chunks."""
    events = read_events(response)
    chunks = [event.json() for event in events if event.data != DONE]
    for chunk in chunks:
        if chunk.get("error"):
            raise EndpointFault(f"the stream broke off: {shown(str(chunk['error']))}")
    ended = bool(events) and events[-1].data == DONE
    try:
        return _joined(chunks, tuple(stream_faults(chunks, ended=ended)))
    except (AttributeError, KeyError, TypeError) as error:
        raise EndpointFault(f"no stream of chunks: {shown(response.text)}") from error


def _joined(chunks: Sequence[Mapping[str, Any]], faults: tuple[str, ...]) -> Reply:
    content: list[str] = []
    joined: dict[int, list[str]] = {}
    reason = usage = choice_usage = None
    for chunk in chunks:
        usage = _counts(chunk.get("usage")) or usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            content.append(_text(delta.get("content")))
            for piece in delta.get("tool_calls") or ():
                call = joined.setdefault(piece.get("index") or 0, ["", "", ""])
                function = piece.get("function") or {}
                call[0] = call[0] or piece.get("id") or ""
                call[1] = call[1] or function.get("name") or ""
                call[2] += _text(function.get("arguments"))
            reason = choice.get("finish_reason") or reason
            choice_usage = _counts(choice.get("usage")) or choice_usage
    calls = tuple(ReplyCall(*parts) for parts in joined.values())
    text = "".join(content)
    return Reply(text, calls, reason, usage, choice_usage, faults, tuple(chunks))


def _call(entry: Mapping[str, Any]) -> ReplyCall:
    function = entry["function"]
    return ReplyCall(str(entry.get("id")), str(function["name"]), _text(function.get("arguments")))


def _counts(value: Any) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
