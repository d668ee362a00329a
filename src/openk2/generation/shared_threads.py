"""`SharedThreads`: work off the event loop that several waiters of one key share."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Shared:
    """One piece of work, and how many wait for it. abandon: tells it that nobody does."""

    work: "asyncio.Future[Any]"
    abandon: Callable[[], None]
    waiting: int = 0


class SharedThreads:
    """count threads, named name."""

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, name)
        self._shared: dict[Hashable, Shared] = {}

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result. Cancelled while it waits for a thread, it never runs."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    async def run_once(
        self,
        key: Hashable,
        function: Callable[..., T],
        *arguments: Any,
        abandon: Callable[[], None] = lambda: None,
    ) -> T:
        """`run`, except that calls with one key that overlap share one result.

        The answers of one request share their prompt and their schemas: a hundred times a long one
        would keep the threads from everybody else's.
        abandon: called if the last one left before the end, for work that has begun.
        """
        shared = self._shared.get(key)
        if shared is None:
            work = asyncio.ensure_future(self.run(function, *arguments))
            work.add_done_callback(lambda _: self._shared.pop(key, None))
            shared = self._shared[key] = Shared(work, abandon)
        shared.waiting += 1
        try:
            found: T = await asyncio.shield(shared.work)
            return found
        finally:
            shared.waiting -= 1
            if not shared.waiting and shared.work.cancel():
                self._shared.pop(key, None)
                shared.abandon()

    def close(self) -> None:
        """End the threads; what waits for one is cancelled. Closing twice is closing once."""
        self._threads.shutdown(cancel_futures=True)
