"""The chunks of a streamed chat completion -> the events of an answer."""

import json
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from openk2.chat import (
    CallArguments,
    CallEnd,
    CallStart,
    OutputEvent,
    ReasoningDelta,
    breaks_off,
    is_json_object,
)
from openk2.generation.chat import ChatEvent, ChatFinish, ChatFinishReason, ChatRequest
from openk2.generation.chat_reader import content
from openk2.generation.endpoint import ConnectionLostError, EndpointError, error_message
from openk2.generation.http_reading import AnswerBounds, data_objects
from openk2.generation.scores import ScoredToken, TokensScored
from openk2.generation.stop_strings import StopStrings
from openk2.generation.surrogates import SurrogatePairs

if TYPE_CHECKING:
    import httpx

FINISH_REASONS: dict[str, ChatFinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
}

NO_USAGE: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0}


async def answer_events(
    response: "httpx.Response", request: ChatRequest, bounds: AnswerBounds
) -> AsyncGenerator[ChatEvent, None]:
    """The events of a streamed answer, which ends before a stop string of the request."""
    reader = AnswerReader(str(response.url), request)
    async with aclosing(data_objects(response, bounds)) as chunks:
        async for chunk in chunks:
            for event in reader.read(chunk):
                yield event
            if reader.is_stopped:
                break
    for event in reader.finish():
        yield event


class AnswerReader:
    """The chunks of one answer -> its events; make a fresh one per request.

    url: for messages of errors. Usage is read wherever the server puts it. Without any there are
    no tokens; an answer that a stop string ended has the last that came before.
    """

    def __init__(self, url: str, request: ChatRequest) -> None:
        self._url, self._request = url, request
        self._reason: ChatFinishReason | None = None
        self._usage: dict[str, Any] = NO_USAGE
        self._has_scores = False
        self._thoughts, self._said, self._calls = SurrogatePairs(), SurrogatePairs(), CallReader()
        self._stops = StopStrings(request.stop)

    @property
    def is_stopped(self) -> bool:
        """Whether a stop string came: what follows is no part of the answer."""
        return self._stops.matched is not None

    def read(self, chunk: dict[str, Any]) -> Iterator[ChatEvent]:
        """The events of a chunk. Raises EndpointError for one that says that the answer failed."""
        if chunk.get("error"):
            problem = error_message(json.dumps(chunk))
            raise EndpointError(f"{self._url}: {problem}", fault_status(chunk["error"]))
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            self._usage = choice.get("usage") or self._usage
            if choice.get("finish_reason") is not None:
                self._reason = read_reason(choice["finish_reason"])
            if scores := read_scores(choice.get("logprobs")):
                self._has_scores = True
                yield TokensScored(scores)
            yield from self._read_delta(choice.get("delta") or {})

    def _read_delta(self, delta: dict[str, Any]) -> Iterator[OutputEvent]:
        # `reasoning` is vLLM's newer name for the same.
        thinks = delta.get("reasoning_content") or delta.get("reasoning")
        if thinks and (text := self._thoughts.feed(text_of(thinks))):
            yield ReasoningDelta(text)
        if delta.get("content"):
            yield from content(self._stops.feed(self._said.feed(text_of(delta["content"]))))
        for call in () if self.is_stopped else delta.get("tool_calls") or ():
            for event in self._calls.read(call):
                if isinstance(event, CallStart):
                    yield from content(self._stops.flush())
                yield event

    def finish(self) -> Iterator[ChatEvent]:
        """What was held back, and the finish. Raises ConnectionLostError for an answer without a
        finish reason, and EndpointError for one without the scores that were requested."""
        if self._reason is None and not self.is_stopped:
            raise ConnectionLostError(f"{self._url}: the answer ended without finish_reason")
        usage, request = self._usage, self._request
        prompt_tokens = count_of(usage["prompt_tokens"])
        completion_tokens = count_of(usage["completion_tokens"])
        unscored = request.logprobs is not None and not self._has_scores
        if unscored and (completion_tokens > 1 or usage is NO_USAGE):
            raise EndpointError(f"{self._url}: the server ignored logprobs: leave it out")
        if text := self._thoughts.flush():
            yield ReasoningDelta(text)
        yield from content(self._stops.feed(self._said.flush()))
        yield from content(self._stops.flush())
        limit = request.max_tokens
        at_limit = limit is not None and completion_tokens >= limit and not self.is_stopped
        # vLLM calls a stream whose call is cut "tool_calls" (vllm-project/vllm#53269).
        is_cut = self._calls.is_cut(at_limit=at_limit) or (
            self._reason == "length" and not self.is_stopped
        )
        yield from self._calls.finish(cut_off=is_cut)
        # Some servers always say "stop".
        reason: ChatFinishReason = "tool_calls" if self._calls.count else "stop"
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
        yield ChatFinish(
            "length" if is_cut else reason,
            prompt_tokens,
            completion_tokens,
            count_of(cached),
            self._stops.matched,
            reasoning_tokens=count_of(thought),
        )


def fault_status(error: Any) -> int | None:
    """The status of a server's own fault that ends an answer which has begun; None for any other.

    vLLM and SGLang give the status as `code`, openk2 and OpenAI the type `server_error`.
    """
    code, kind = (error.get("code"), error.get("type")) if isinstance(error, dict) else (None, None)
    if type(code) is int and 500 <= code < 600:
        return code
    return 500 if kind == "server_error" else None


def text_of(value: Any) -> str:
    """Raises TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:80]!r} is no text")
    return value


def count_of(value: Any) -> int:
    """Raises TypeError for what is no count of tokens."""
    if type(value) is not int or not 0 <= value < 2**63:
        raise TypeError(f"{str(value)[:80]!r} is no number of tokens")
    return value


def score_of(value: Any) -> float:
    """Raises TypeError for what is no finite number."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:80]!r} is no log-probability")
    return value


class CallReader:
    """OpenAI's tool-call deltas -> events. A call ends where the next begins, or the answer.

    Calls are numbered here: some servers give every call the same index. count: calls so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._pairs = SurrogatePairs()
        self._arguments: list[str] = []  # of the call that is open
        self._open: tuple[int, str] | None = None  # index and id, as the server has them

    def read(self, call: dict[str, Any]) -> Iterator[OutputEvent]:
        """The events of one entry of `delta.tool_calls`."""
        function = call.get("function") or {}
        if self._begins(call, function):
            yield from self.finish(cut_off=False)
            self._open, self._arguments = (count_of(call["index"]), text_of(call["id"])), []
            self.count += 1
            yield CallStart(self.count - 1, self._open[1], text_of(function["name"]))
        if text := self._pairs.feed(text_of(function.get("arguments") or "")):
            self._arguments.append(text)
            yield CallArguments(self.count - 1, text)

    def _begins(self, call: dict[str, Any], function: dict[str, Any]) -> bool:
        if self._open is None or call["index"] != self._open[0]:
            return True
        # An id without a name, or the same one again, is of the call that is open.
        return bool(function.get("name")) and call.get("id") not in (None, "", self._open[1])

    def is_cut(self, *, at_limit: bool) -> bool:
        """Whether the answer ends inside the open call. at_limit: it has all of its max_tokens."""
        if self._open is None:
            return False
        arguments = "".join(self._arguments).strip()
        return breaks_off(arguments) or (at_limit and not is_json_object(arguments))

    def finish(self, *, cut_off: bool) -> Iterator[OutputEvent]:
        """Close the open call, unless max_tokens fell inside it."""
        if text := self._pairs.flush():
            self._arguments.append(text)
            yield CallArguments(self.count - 1, text)
        if self._open is not None and not cut_off:
            if not "".join(self._arguments).strip():  # some servers write none as ""
                yield CallArguments(self.count - 1, "{}")
            yield CallEnd(self.count - 1)
        self._open = None


def read_scores(logprobs: dict[str, Any] | None) -> tuple[ScoredToken, ...]:
    """The scores that a chunk carries."""
    entries = (logprobs or {}).get("content") or ()
    return tuple(
        ScoredToken(
            token_bytes(entry),
            score_of(entry["logprob"]),
            tuple(
                (token_bytes(top), score_of(top["logprob"]))
                for top in entry.get("top_logprobs") or ()
            ),
        )
        for entry in entries
    )


def token_bytes(entry: dict[str, Any]) -> bytes:
    """A token's bytes; servers that do not give them write whole characters."""
    given = entry.get("bytes")
    return entry["token"].encode() if given is None else bytes(list(given))


def read_reason(value: str) -> ChatFinishReason:
    """Raises EndpointError for a reason that is none of ours, such as content_filter."""
    if value not in FINISH_REASONS:
        raise EndpointError(f"finish_reason is {value!r}: openk2 knows {list(FINISH_REASONS)}")
    return FINISH_REASONS[value]
