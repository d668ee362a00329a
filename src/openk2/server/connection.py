"""`TimedProtocol`: a connection with limits on time, and on how many there may be.

uvicorn closes a connection that is idle after an answer. It has no limit for one on which no
request came yet, for headers that come a byte at a time, or for a client that stops reading.
"""

import asyncio
import contextlib
import sys
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from openk2.server.limits import HEADER_SECONDS, MAX_CONNECTIONS, UNREAD_SECONDS

SPARE_DESCRIPTORS = 100  # for files, and for connections to upstreams


class TimedProtocol(H11Protocol):
    """See uvicorn. Its `limit_concurrency`, which must be set, limits the connections."""

    header_seconds = HEADER_SECONDS
    unread_seconds = UNREAD_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._headers_end: asyncio.TimerHandle | None = None
        self._reading_end: asyncio.TimerHandle | None = None
        self._opened = self.loop.time()

    @property
    def has_request(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._expect_headers()
        self._make_room()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._headers_arrived()
        elif not self.has_request:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._headers_arrived()
        self._reading_resumed()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._reading_end = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        self._reading_resumed()

    def _make_room(self) -> None:
        """Close the oldest connection without a request, or else this one, if there are too many.

        Whoever opens connections only to hold them loses those, and nobody else is shut out.
        """
        assert self.limit_concurrency is not None
        if len(self.connections) < self.limit_concurrency:
            return
        waiting = [
            other
            for other in self.connections
            if isinstance(other, TimedProtocol)
            and not (other.has_request or other.transport.is_closing())
        ]
        min(waiting, key=lambda other: other._opened).transport.abort()

    def _expect_headers(self) -> None:
        if self._headers_end is None and not self.transport.is_closing():
            self._headers_end = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _headers_arrived(self) -> None:
        if self._headers_end is not None:
            self._headers_end.cancel()
            self._headers_end = None

    def _reading_resumed(self) -> None:
        if self._reading_end is not None:
            self._reading_end.cancel()
            self._reading_end = None


def allow_connections(most: int = MAX_CONNECTIONS) -> int:
    """Raise this process's limit of open files for so many connections; how many it allows.

    Without descriptors left, nobody could connect, not even whoever asks for /health.
    """
    if sys.platform == "win32":
        return most
    import resource

    wanted = most + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # fewer connections, then
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else min(most, max(1, soft - SPARE_DESCRIPTORS))
