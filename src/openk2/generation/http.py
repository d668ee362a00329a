"""`HttpChat`: any server that speaks OpenAI's chat completions is a ChatGenerator.

httpx is imported where it is used: it takes 0.1 s, and our own server, which imports this room,
has no use for it.
"""

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from openk2.chat import CallArguments, CallEnd, CallStart, ContentDelta, OutputEvent
from openk2.generation.chat import (
    ChatEvent,
    ChatFinish,
    ChatFinishReason,
    ChatRequest,
    JsonFormat,
    NamedTool,
    ToolChoice,
)
from openk2.generation.scores import ScoredToken, TokensScored
from openk2.generation.settings import GenerationSettings
from openk2.protocol import EngineBusyError

if TYPE_CHECKING:
    import httpx

BUSY_STATUSES = (429, 503)
FINISH_REASONS: dict[str, ChatFinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
}
# Sent only if they differ from their defaults: few servers know all of them.
SETTINGS = (
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "seed",
)


class EndpointError(RuntimeError):
    """The server could not be reached, refused the request, or broke the protocol.

    status: the HTTP status; None when there was no answer, or one that cannot be read.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class HttpChat:
    """One model of one server.

    base_url: with or without the final /v1. api_key: sent as a bearer token. timeout: seconds
    until the server sends its next bytes.
    """

    def __init__(
        self, base_url: str, model: str, *, api_key: str | None = None, timeout: float = 600.0
    ) -> None:
        import httpx

        self.base_url = api_root(base_url)
        self.model = model
        self.headers = {"Content-Type": "application/json", **credentials(api_key)}
        self.timeout = timeout
        # A client per request keeps this object free of any event loop; the certificates, which
        # are what makes a client slow to build, are read once.
        self.certificates = httpx.create_ssl_context()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`. Raises EndpointError, and EngineBusyError for 429 and 503."""
        import httpx

        url = f"{self.base_url}/chat/completions"
        # ASCII: a lone surrogate in a message has no other way to be sent.
        body = json.dumps(request_body(self.model, request)).encode()
        try:
            async with (
                httpx.AsyncClient(
                    verify=self.certificates, timeout=self.timeout, headers=self.headers
                ) as client,
                client.stream("POST", url, content=body) as response,
            ):
                await raise_for_error(response)
                scored = request.logprobs is not None
                async with aclosing(answer_events(response, scored=scored)) as events:
                    async for event in events:
                        yield event
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise EndpointError(f"{url}: {str(error) or type(error).__name__}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise EndpointError(f"{url}: the answer is no chat completion: {error!r}") from error


def served_models(base_url: str, *, api_key: str | None = None) -> list[str]:
    """Names of the models of a server. Raises EndpointError."""
    import httpx

    url = f"{api_root(base_url)}/models"
    try:
        response = httpx.get(url, headers=credentials(api_key))
        if not response.is_success:
            message = f"{url} answered {response.status_code}: {error_message(response.text)}"
            raise EndpointError(message, response.status_code)
        names = [card["id"] for card in response.json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EndpointError(f"{url} does not list models: {error}") from error
    if not names:
        raise EndpointError(f"{url} lists no model: name one")
    return names


def api_root(base_url: str) -> str:
    """The URL that ends in /v1."""
    return base_url.rstrip("/").removesuffix("/v1") + "/v1"


def credentials(api_key: str | None) -> dict[str, str]:
    """The request headers that carry the key. Raises EndpointError if headers cannot."""
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise EndpointError("the API key holds characters that no header can carry: copy it again")
    return {} if api_key is None else {"Authorization": f"Bearer {api_key}"}


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """The JSON of a streamed request; settings that are off are left out."""
    optional = {
        "max_tokens": request.max_tokens,
        "logit_bias": {str(token): bias for token, bias in request.logit_bias.items()} or None,
        "logprobs": None if request.logprobs is None else True,
        "top_logprobs": request.logprobs,
        "stop": list(request.stop) or None,
        "tools": list(request.tools) or None,
        "tool_choice": tool_choice_json(request.tool_choice) if request.tools else None,
        "parallel_tool_calls": None if request.parallel_tool_calls else False,
        "response_format": response_format_json(request.response_format),
    }
    for name in SETTINGS:
        value = getattr(request, name)
        optional[name] = None if value == getattr(GenerationSettings, name) else value
    return {
        "model": model,
        "messages": list(request.messages),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
        **{name: value for name, value in optional.items() if value is not None},
    }


def tool_choice_json(choice: ToolChoice) -> str | dict[str, Any]:
    """OpenAI's form of it."""
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def response_format_json(wanted: JsonFormat | None) -> dict[str, Any] | None:
    """OpenAI's form of it; None for text."""
    if wanted is None:
        return None
    if wanted.schema is None:
        return {"type": "json_object"}
    schema = {"name": wanted.name, "schema": wanted.schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


async def raise_for_error(response: "httpx.Response") -> None:
    """Raise EngineBusyError or EndpointError if the status is not a success."""
    if response.is_success:
        return
    text = (await response.aread()).decode("utf-8", "replace")
    message = f"{response.url} answered {response.status_code}: {error_message(text)}"
    if response.status_code in BUSY_STATUSES:
        raise EngineBusyError(message)
    raise EndpointError(message, response.status_code)


def error_message(text: str) -> str:
    """The message of OpenAI's error object, or the start of whatever else the server sent."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


async def answer_events(
    response: "httpx.Response", *, scored: bool
) -> AsyncGenerator[ChatEvent, None]:
    """The events of a streamed answer, its chunks' usage wherever the server puts it.

    scored: logprobs were asked for, so an answer without any is an error.
    """
    reason: ChatFinishReason | None = None
    usage: dict[str, Any] | None = None
    has_scores = False
    calls = CallReader()
    async with aclosing(data_objects(response)) as chunks:
        async for chunk in chunks:
            if chunk.get("error"):
                raise EndpointError(f"{response.url}: {error_message(json.dumps(chunk))}")
            usage = chunk.get("usage") or usage
            for choice in chunk.get("choices") or ():
                if scores := read_scores(choice.get("logprobs")):
                    has_scores = True
                    yield TokensScored(scores)
                delta = choice.get("delta") or {}
                if delta.get("content"):
                    yield ContentDelta(delta["content"])
                for call in delta.get("tool_calls") or ():
                    for event in calls.read(call):
                        yield event
                usage = choice.get("usage") or usage
                if choice.get("finish_reason") is not None:
                    reason = read_reason(choice["finish_reason"])
    if reason is None or usage is None:
        missing = "finish_reason" if reason is None else "usage"
        raise EndpointError(f"{response.url}: the answer ended without {missing}")
    if scored and not has_scores and usage["completion_tokens"] > 1:
        raise EndpointError(f"{response.url}: the server ignored logprobs: leave it out")
    for event in calls.finish(cut_off=reason == "length"):
        yield event
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    yield ChatFinish(reason, usage["prompt_tokens"], usage["completion_tokens"], cached)


class CallReader:
    """OpenAI's tool-call deltas -> events. A call ends where the next begins, or the answer."""

    def __init__(self) -> None:
        self.open: int | None = None

    def read(self, call: dict[str, Any]) -> Iterator[OutputEvent]:
        """The events of one entry of `delta.tool_calls`."""
        function = call.get("function") or {}
        if call["index"] != self.open:
            yield from self.finish(cut_off=False)
            self.open = call["index"]
            yield CallStart(call["index"], call["id"], function["name"])
        if function.get("arguments"):
            yield CallArguments(call["index"], function["arguments"])

    def finish(self, *, cut_off: bool) -> Iterator[OutputEvent]:
        """Close the open call, unless max_tokens fell inside it."""
        if self.open is not None and not cut_off:
            yield CallEnd(self.open)
        self.open = None


def read_scores(logprobs: dict[str, Any] | None) -> tuple[ScoredToken, ...]:
    """The scores that a chunk carries."""
    entries = (logprobs or {}).get("content") or ()
    return tuple(
        ScoredToken(
            token_bytes(entry),
            entry["logprob"],
            tuple((token_bytes(top), top["logprob"]) for top in entry.get("top_logprobs") or ()),
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


async def data_objects(response: "httpx.Response") -> AsyncGenerator[dict[str, Any], None]:
    """The JSON objects of a server-sent event stream, up to [DONE]. Raises EndpointError."""
    # Not aiter_lines: it also splits at U+2028, which JSON strings may hold.
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line.removeprefix(b"data:").strip()
            if data == b"[DONE]":
                return
            try:
                yield json.loads(data)
            except ValueError as error:
                raise EndpointError(f"{response.url}: {data[:80]!r} is not JSON") from error
