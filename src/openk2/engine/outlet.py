"""`Outlet`: the way from the worker thread to the event loop of one request's reader."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

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
        return join(chunks)


def join(chunks: Sequence[TokenChunk]) -> TokenChunk:
    """Neighbouring chunks of one request as one. The first has what only a first chunk has."""
    first = chunks[0]
    if len(chunks) == 1:
        return first
    scored = first.logprobs is not None
    return TokenChunk(
        tuple(token for chunk in chunks for token in chunk.token_ids),
        chunks[-1].finish_reason,
        tuple(scores for chunk in chunks for scores in chunk.logprobs or ()) if scored else None,
        first.prompt_logprobs,
        first.cached_tokens,
    )


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
