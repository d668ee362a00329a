"""`RetryingChat`: asks a busy or unreachable model again before it gives up."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from openk2.generation import (
    ChatEvent,
    ChatGenerator,
    ChatRequest,
    ConnectionLostError,
    EndpointError,
    UnreachableError,
)
from openk2.protocol import EngineBusyError

# Seconds before each further try: a restarting server is asked again for about 45 s.
WAITS = (3.0, 6.0, 12.0, 24.0)
LONGEST_WAIT = 60.0  # seconds, also where a server wants to be asked later
RETRIED_STATUSES = (408, 429, 500, 502, 503, 504)
UNANSWERED = (EngineBusyError, EndpointError)


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: a busy server, a lost connection."""
    if isinstance(error, EndpointError):
        gone = isinstance(error, UnreachableError | ConnectionLostError)
        return gone or error.status in RETRIED_STATUSES
    return isinstance(error, EngineBusyError)


def wait_before_retry(error: Exception, seconds: float) -> float:
    """`seconds`, or longer if a busy server says so."""
    asked = error.retry_after if isinstance(error, EngineBusyError) else None
    return max(seconds, min(asked or 0.0, LONGEST_WAIT))


class RetryingChat:
    """A `ChatGenerator` that repeats a request whose error may pass, once after each of WAITS.

    A busy server's Retry-After is waited for if it is longer, up to LONGEST_WAIT.

    sleep: waits so many seconds. given_up: the last errors of requests without a usable answer.
    """

    def __init__(
        self, generator: ChatGenerator, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._generator = generator
        self._sleep = sleep
        self.given_up: list[Exception] = []

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`; the events come when all of them are there."""
        for event in await self._whole(request):
            yield event

    async def _whole(self, request: ChatRequest) -> list[ChatEvent]:
        waits = iter(WAITS)
        while True:
            try:
                return await self._once(request)
            except UNANSWERED as error:
                seconds = next(waits, None) if may_pass(error) else None
                if seconds is None:
                    self.given_up.append(error)
                    raise
                await self._sleep(wait_before_retry(error, seconds))

    async def _once(self, request: ChatRequest) -> list[ChatEvent]:
        async with aclosing(self._generator.stream(request)) as events:
            return [event async for event in events]
