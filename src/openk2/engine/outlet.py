"""`Outlet`: the way from the worker thread to the event loop of one request's reader."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from openk2.protocol import TokenChunk

Message = TokenChunk | Exception


class Outlet:
    """A queue of the event loop that it is made in, fed by `deliver` from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Message] = asyncio.Queue()

    def put(self, message: Message) -> None:
        """Queue a message; only from the outlet's own loop."""
        self._queue.put_nowait(message)

    async def receive(self) -> TokenChunk:
        """Wait for tokens and take all that have come, as one chunk. Raises a delivered error."""
        messages = [await self._queue.get()]
        while not self._queue.empty():
            messages.append(self._queue.get_nowait())
        chunks: list[TokenChunk] = []
        for message in messages:
            if isinstance(message, Exception):
                raise message
            chunks.append(message)
        ids = tuple(token for chunk in chunks for token in chunk.token_ids)
        return TokenChunk(ids, chunks[-1].finish_reason)


def deliver(messages: Iterable[tuple[Outlet, Message]]) -> list[Outlet]:
    """Hand messages over, waking each event loop once; return outlets whose loop is closed."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[Outlet, Message]]]
    by_loop = defaultdict(list)
    for outlet, message in messages:
        by_loop[outlet.loop].append((outlet, message))
    unreachable: list[Outlet] = []
    for loop, group in by_loop.items():
        try:
            loop.call_soon_threadsafe(put_all, group)
        except RuntimeError:  # what asyncio raises when a loop is closed: its readers are gone
            unreachable += [outlet for outlet, _ in group]
    return unreachable


def put_all(messages: Iterable[tuple[Outlet, Message]]) -> None:
    """Queue each message in its outlet."""
    for outlet, message in messages:
        outlet.put(message)
