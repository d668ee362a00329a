"""`LoopThread`: an event loop in its own thread, for callers in synchronous code."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines in a thread of its own until `close`; usable from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # Threads of the loop's own are ended by a new thread, which Python may refuse at its end.
        self._workers = ThreadPoolExecutor(thread_name_prefix="openk2-worker")
        self._loop.set_default_executor(self._workers)
        self._thread = threading.Thread(target=self._loop.run_forever, name="openk2", daemon=True)
        self._lock = threading.Lock()
        self._closed = False
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. An interrupt while waiting, such as Ctrl-C, cancels it.

        Raises RuntimeError after `close`, and concurrent.futures.CancelledError if that comes
        while the coroutine runs.
        """
        with self._lock:
            if self._closed:
                work.close()
                raise RuntimeError("the model is closed: load it again")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def iterate(self, stream: AsyncGenerator[T, None]) -> Iterator[T]:
        """The stream's items as they are asked for. Leaving the iterator closes the stream."""

        async def step() -> tuple[T, ...]:
            async for item in stream:
                return (item,)
            return ()

        try:
            while item := self.run(step()):
                yield from item
        finally:
            if not self._closed:
                self.run(stream.aclose())

    def close(self) -> None:
        """Cancel what runs and end the thread. Closing twice is closing once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # After everything that `run` has handed over.
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        ending.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._workers.shutdown()
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
