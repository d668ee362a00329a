"""`TimedProtocol`: a connection that neither waits for ever to be asked nor to be read.

uvicorn closes a connection that is idle after an answer. It has no limit for one on which nothing
was asked yet, for headers that come a byte at a time, or for a client that stops reading.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 20.0  # to send a request's headers
UNREAD_SECONDS = 120.0  # that a client may leave an answer unread


class TimedProtocol(H11Protocol):
    """See uvicorn."""

    header_seconds = HEADER_SECONDS
    unread_seconds = UNREAD_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._headers_end: asyncio.TimerHandle | None = None
        self._reading_end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._headers_come()
        elif self.cycle is None or self.cycle.response_complete:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._headers_come()
        self._is_read()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._reading_end = self.loop.call_later(self.unread_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        self._is_read()

    def _expect_headers(self) -> None:
        if self._headers_end is None and not self.transport.is_closing():
            self._headers_end = self.loop.call_later(self.header_seconds, self.transport.abort)

    def _headers_come(self) -> None:
        if self._headers_end is not None:
            self._headers_end.cancel()
            self._headers_end = None

    def _is_read(self) -> None:
        if self._reading_end is not None:
            self._reading_end.cancel()
            self._reading_end = None
