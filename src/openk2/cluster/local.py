"""Workers on this machine: this process, or several."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from openk2.cluster.workers import R, T, WorkerError

TRIES = 3


@dataclass(frozen=True)
class ThisProcess:
    """One item after the other, here."""

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Results in the order of the items."""
        for index, item in enumerate(items):
            yield index, function(item)


@dataclass(frozen=True)
class LocalProcesses:
    """`count` processes, each a fresh interpreter: nothing of this one's threads is inherited.

    A process that dies (out of memory, killed) breaks its pool; the items in flight run again in a
    new one, each at most 3 times.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} processes: at least 1 is needed")

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Results as they finish; twice as many items as processes are in flight."""
        waiting = deque(range(len(items)))
        tries = [0] * len(items)
        while waiting:
            pool = self._pool(len(waiting))
            flying: dict[Future[R], int] = {}
            try:
                while waiting or flying:
                    while waiting and len(flying) < 2 * self.count:
                        index = waiting[0]
                        flying[pool.submit(function, items[index])] = index
                        tries[waiting.popleft()] += 1
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        yield flying[future], future.result()
                        del flying[future]
            except BrokenProcessPool as error:
                lost = sorted(flying.values())
                if any(tries[index] >= TRIES for index in lost):
                    raise WorkerError(
                        f"worker processes died {TRIES} times at item {lost[0]} or one of the "
                        f"{len(lost) - 1} beside it: is there memory for {self.count} of them?"
                    ) from error
                waiting.extendleft(reversed(lost))
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _pool(self, items: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            min(self.count, items), mp_context=context, initializer=begin_worker
        )


def begin_worker() -> None:
    """End at once, and silently, with the process that started this one, however that ends.

    A worker that outlived a killed run would write beside the run that follows it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    """Wait for the parent's end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
