"""`Upstream`: one OpenAI-compatible engine that others run, and what is known about it.

Nothing about its abilities is assumed. An optional field is sent until the engine refuses it by
name, and left out for a while (`refused_fields`); what its answers contain is read from them
(`output`).
httpx is imported where it is used, as in `generation`.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from openk2.gateway.refused_fields import RefusedFields, named_in
from openk2.generation import (
    BUSY_STATUSES,
    UNREADABLE,
    AnswerBounds,
    Connections,
    EndpointError,
    RequestError,
    api_root,
    data_objects,
    error_message,
    json_headers,
    read_body,
    seconds_of,
)
from openk2.protocol import EngineBusyError, EngineError

if TYPE_CHECKING:
    import httpx

REFUSALS = (400, 413, 422)  # the request's fault; any other error status is the upstream's
CONNECT_SECONDS = 5.0
PROBE_SECONDS = 5.0
MOST_WORDS = 400  # characters of its message that are passed on

logger = logging.getLogger(__name__)


class UpstreamError(EngineError):
    """An upstream did not answer, broke off, or broke the protocol.

    The message names no address, since clients see it; the log does.
    """


class Upstream:
    """One model of one engine. Its attributes may be read from any thread.

    base_url: with or without the final /v1. api_key: sent as a bearer token. timeout: seconds
    until the engine sends its next bytes.
    healthy, reason: result of the last probe or connection, and why it is not healthy.
    outstanding: requests in flight. asked: requests ever sent, refused ones included.
    context_length, owner: `max_model_len` and `owned_by` of its model card; None until known.
    refused: fields that it refuses by name. connections: to it, kept if somebody keeps them.
    """

    def __init__(
        self, base_url: str, model: str, *, api_key: str | None = None, timeout: float = 600.0
    ) -> None:
        self.url = api_root(base_url)
        self.model = model
        self.api_key = api_key
        self.healthy = True
        self.reason = ""
        self.outstanding = 0
        self.asked = 0
        self.context_length: int | None = None
        self.owner: str | None = None
        self.refused = RefusedFields()
        self._headers = json_headers(api_key)
        self._seconds = timeout
        self.connections = Connections(self._headers, timeout, CONNECT_SECONDS)

    def fail(self, reason: str) -> None:
        """Mark it unhealthy: it gets no requests until a probe succeeds."""
        if self.healthy:
            logger.warning("upstream %s is not healthy: %s", self.url, reason)
        self.healthy, self.reason = False, reason

    def probe(self) -> None:
        """Ask for its health and its models; blocks for PROBE_SECONDS at most."""
        asyncio.run(self.probe_once())

    async def probe_once(self) -> None:
        """`probe`, on an event loop. It raises nothing, whatever the upstream sends."""
        import httpx

        try:
            async with (
                asyncio.timeout(PROBE_SECONDS),
                httpx.AsyncClient(
                    verify=self.connections.certificates,
                    timeout=PROBE_SECONDS,
                    headers=self._headers,
                ) as client,
            ):
                async with client.stream("GET", f"{self.url.removesuffix('/v1')}/health") as health:
                    if health.status_code >= 500:
                        self.fail(f"its health is {health.status_code}")
                        return
                async with client.stream("GET", f"{self.url}/models") as listed:
                    text = await read_body(listed)
            if not listed.is_success:
                self.fail(f"/models answered {listed.status_code}: {text[:200]!r}")
                return
            self._read_cards(json.loads(text)["data"])
        except TimeoutError:
            self.fail(f"it did not answer within {PROBE_SECONDS:g} seconds")
        except (httpx.HTTPError, httpx.InvalidURL, EndpointError) as error:
            self.fail(str(error) or type(error).__name__)
        except UNREADABLE as error:
            self.fail(f"/models does not list models: {str(error)[:200]!r}")

    def _read_cards(self, cards: list[dict[str, Any]]) -> None:
        by_name = {card["id"]: card for card in cards}
        card = by_name.get(self.model)
        if card is None:
            self.fail(f"it has no model {self.model!r}, but {str(list(by_name))[:200]}")
            return
        if not self.healthy:
            logger.warning("upstream %s is healthy again", self.url)
        owner, length = card.get("owned_by"), card.get("max_model_len")
        self.owner = owner if isinstance(owner, str) else None
        self.context_length = length if type(length) is int and 0 < length < 2**31 else None
        self.healthy, self.reason = True, ""

    def _note(self, change: str, fields: list[str]) -> None:
        if fields:
            logger.warning("upstream %s %s: %s", self.url, change, ", ".join(fields))

    async def stream(
        self,
        fields: Mapping[str, Any],
        optional: Mapping[str, Any],
        guidance: Sequence[Mapping[str, Any]],
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a streamed completion. Closing it closes the connection.

        optional: fields that are sent unless it refused them by name. guidance: sets of fields that
        override some of `fields`; the first set that is not refused is used, or none.
        Raises RequestError for a refused request, EngineBusyError, UpstreamError.
        """
        import httpx

        self.outstanding += 1
        ways = [*guidance, {}]
        try:
            while True:
                sent = self.refused.without(optional)
                asked = {**fields, **sent, **ways[0]}
                body, self.asked = json.dumps(asked).encode(), self.asked + 1
                bounds = AnswerBounds.of(asked["max_tokens"], self._seconds)
                async with self.connections.post(f"{self.url}/completions", body) as response:
                    if response.is_success:
                        self._note("takes again", self.refused.accepted(sent))
                        async with aclosing(data_objects(response, bounds)) as chunks:
                            async for chunk in chunks:
                                yield checked(chunk)
                        return
                    error = await refusal(response)
                named = named_in(str(error), sent)
                if not isinstance(error, RequestError) or not (named or ways[1:]):
                    raise error
                # Each retry drops a field or a way, so this ends.
                self._note("refuses", self.refused.learn(named))
                if not named:
                    kind = [*ways[0].get("structured_outputs", ()), *ways[0]][0]
                    logger.warning("upstream %s refused a %s: %s", self.url, kind, error)
                    ways = ways[1:]
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self.fail(str(error) or type(error).__name__)
            raise UpstreamError("the upstream cannot be reached") from error
        except (httpx.HTTPError, httpx.InvalidURL, EndpointError) as error:
            logger.warning("upstream %s broke off: %s", self.url, str(error) or repr(error))
            raise UpstreamError("the upstream broke off its answer") from error
        finally:
            self.outstanding -= 1


def checked(chunk: Any) -> dict[str, Any]:
    """The chunk. Raises UpstreamError if it is an error or not an object."""
    if not isinstance(chunk, dict):
        raise UpstreamError(f"the upstream sent {str(chunk)[:80]!r}, which is not a chunk")
    if error := chunk.get("error"):
        said = error.get("message") if isinstance(error, dict) else error
        raise UpstreamError(f"the upstream failed: {str(said)[:MOST_WORDS]}")
    return chunk


async def refusal(response: "httpx.Response") -> Exception:
    """The exception that an error status stands for."""
    text = (await read_body(response)).decode("utf-8", "replace")
    message = f"the upstream answered {response.status_code}: {error_message(text)}"
    if response.status_code in BUSY_STATUSES:
        return EngineBusyError(message, seconds_of(response.headers.get("retry-after")))
    if response.status_code in REFUSALS:
        return RequestError(message)
    return UpstreamError(message)
