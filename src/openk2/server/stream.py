"""Answers that are cut short when their client leaves, and server-sent events."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
CLIENT_LEFT = 499  # nginx's status for a client that left before the answer
DONE = b"data: [DONE]\n\n"
# For the OpenAPI document of routes that answer whole or as a stream.
STREAMABLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {}, "text/event-stream": {}}}
}

logger = logging.getLogger(__name__)


async def unless_client_leaves(receive: Receive, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of `work`; None if the client left first, which cancels it.

    receive: of a request whose body has been read, so that only its disconnection can come.
    """
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(client_left(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        watcher.cancel()
        # When this returns, both have released the request and the generator.
        await asyncio.gather(task, watcher, return_exceptions=True)


async def client_left(receive: Receive) -> None:
    """Return when the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Server-sent events. The generator is closed in every case before the response is done.

    An error before the first event is raised, so it becomes an ordinary error response; a later
    one is logged and sent as `error_event` makes it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        error_event: Callable[[Exception], bytes],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        plain = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(headers={**plain, **(headers or {})})
        del self.headers["Content-Length"]
        self.events = events
        self.error_event = error_event

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI response."""
        async with aclosing(self.events):
            await unless_client_leaves(receive, self.send_events(send))

    async def send_events(self, send: Send) -> None:
        """Send the events as they come."""
        started = False
        try:
            async for event in self.events:
                if not started:
                    started = True
                    await send(
                        {
                            "type": "http.response.start",
                            "status": self.status_code,
                            "headers": self.raw_headers,
                        }
                    )
                await send({"type": "http.response.body", "body": event, "more_body": True})
        except Exception as error:
            if not started:
                raise
            logger.exception("an answer failed after it had started")
            body = self.error_event(error)
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def data_event(payload: dict[str, Any]) -> bytes:
    """One server-sent event; ASCII, since some clients split lines at U+2028 and U+2029."""
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
