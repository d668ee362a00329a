"""`SharedWork`: several waiters of one key share one piece of work; `SharedThreads`: off the event
loop."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Shared:
    """One piece of work, and how many wait for it. abandon: tells it that nobody does."""

    work: "asyncio.Task[Any]"
    abandon: Callable[[], None]
    waiting: int = 0


class SharedWork:
    """Work of one event loop by its key."""

    def __init__(self) -> None:
        self._shared: dict[Hashable, Shared] = {}

    async def once(
        self,
        key: Hashable,
        begin: Callable[[], Coroutine[Any, Any, T]],
        abandon: Callable[[], None] = lambda: None,
    ) -> T:
        """The result of `begin`, which calls with one key that overlap share.

        The answers of one request share their prompt, their schemas, their body: a hundred times a
        long one would keep everybody else waiting.
        abandon: called if the last one left before the end, which cancels the work.
        """
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = Shared(asyncio.create_task(begin()), abandon)
            shared.work.add_done_callback(partial(self._forget, key))
        shared.waiting += 1
        try:
            found: T = await asyncio.shield(shared.work)
            return found
        finally:
            shared.waiting -= 1
            if not shared.waiting and shared.work.cancel():
                self._forget(key, shared.work)
                shared.abandon()

    def _forget(self, key: Hashable, work: "asyncio.Task[Any]") -> None:
        shared = self._shared.get(key)
        if shared is not None and shared.work is work:  # not the next one of this key
            del self._shared[key]


class SharedThreads:
    """count threads, named name."""

    def __init__(self, count: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(count, name)
        self._work = SharedWork()

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
        """`run`, shared as by `SharedWork.once`. abandon: for work that has begun."""
        return await self._work.once(key, partial(self.run, function, *arguments), abandon)

    def close(self) -> None:
        """End the threads; what waits for one is cancelled. Closing twice is closing once."""
        self._threads.shutdown(cancel_futures=True)
