"""Answers that are cut short when their client leaves, and server-sent events."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from openk2.server.limits import SILENT_SECONDS

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

    An error before anything was sent is raised, so it becomes an ordinary error response; a later
    one is logged and sent as `error_event` makes it. sign: sent after each `silent_seconds` without
    an event, the headers before it, so that no client or proxy takes the connection for dead.
    """

    media_type = "text/event-stream"
    silent_seconds = SILENT_SECONDS

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        error_event: Callable[[Exception], bytes],
        headers: Mapping[str, str] | None = None,
        sign: bytes = b": waiting\n\n",
    ) -> None:
        plain = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(headers={**plain, **(headers or {})})
        del self.headers["Content-Length"]
        self.events = events
        self.error_event = error_event
        self.sign = sign

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI response."""
        async with aclosing(self.events):
            await unless_client_leaves(receive, self.send_events(send))

    async def send_events(self, send: Send) -> None:
        """Send the events as they come, and signs of life where none come."""
        head = {"status": self.status_code, "headers": self.raw_headers}
        output = EventOutput(send, {"type": "http.response.start", **head})
        signs = asyncio.create_task(output.repeat(self.sign, self.silent_seconds))
        try:
            async for event in self.events:
                await output.write(event)
            await output.write(b"", more=False)
        except Exception as error:
            if not output.started:
                raise
            logger.exception("an answer failed after it had started")
            await output.write(self.error_event(error))
            await output.write(b"", more=False)
        finally:
            signs.cancel()
            await asyncio.gather(signs, return_exceptions=True)


class EventOutput:
    """The body of one response, which two tasks write. head: sent before the first bytes.

    started: whether the head is sent, or being sent.
    """

    def __init__(self, send: Send, head: Message) -> None:
        self.started = False
        self._send, self._head = send, head
        self._lock = asyncio.Lock()  # a client that reads slowly makes `send` wait
        self._clock = asyncio.get_running_loop().time
        self._written = self._clock()

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send bytes. more: whether others follow."""
        async with self._lock:
            if not self.started:
                self.started = True
                await self._send(self._head)
            await self._send({"type": "http.response.body", "body": data, "more_body": more})
            self._written = self._clock()

    async def repeat(self, sign: bytes, seconds: float) -> None:
        """Send the sign whenever nothing was written for so long, until cancelled."""
        while True:
            left = self._written + seconds - self._clock()
            if left > 0:
                await asyncio.sleep(left)
            else:
                await self.write(sign)


def data_event(payload: dict[str, Any]) -> bytes:
    """One server-sent event; ASCII, since some clients split lines at U+2028 and U+2029."""
    return b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"
