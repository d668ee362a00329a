"""`OutputQueue`: from the worker thread to the event loop of one request's reader."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from openk2.protocol import TokenChunk

Output = TokenChunk | Exception


class OutputQueue:
    """A queue in the event loop that creates it, filled by `deliver` from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Output] = asyncio.Queue()

    def put(self, output: Output) -> None:
        """Queue an output. Call it in the queue's own event loop."""
        self._queue.put_nowait(output)

    async def receive(self) -> TokenChunk:
        """Wait for tokens; returns all that have arrived as one chunk. Raises a queued error."""
        outputs = [await self._queue.get()]
        while not self._queue.empty():
            outputs.append(self._queue.get_nowait())
        chunks: list[TokenChunk] = []
        for output in outputs:
            if isinstance(output, Exception):
                raise output
            chunks.append(output)
        return join(chunks)


def join(chunks: Sequence[TokenChunk]) -> TokenChunk:
    """Consecutive chunks of one request as one; what only a first chunk has is the first's."""
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


def deliver(outputs: Iterable[tuple[OutputQueue, Output]]) -> list[OutputQueue]:
    """Queue outputs, waking each event loop once; returns the queues whose loop is closed."""
    by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[OutputQueue, Output]]]
    by_loop = defaultdict(list)
    for queue, output in outputs:
        by_loop[queue.loop].append((queue, output))
    unreachable: list[OutputQueue] = []
    for loop, group in by_loop.items():
        try:
            loop.call_soon_threadsafe(put_all, group)
        except RuntimeError:  # asyncio raises it for a closed loop, whose readers are gone
            unreachable += [queue for queue, _ in group]
    return unreachable


def put_all(outputs: Iterable[tuple[OutputQueue, Output]]) -> None:
    """Queue each output in its queue."""
    for queue, output in outputs:
        queue.put(output)
