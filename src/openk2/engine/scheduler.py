"""`Scheduler`: which requests the next step runs. Plain Python over ints, lists and a deque.

A request is admitted only when pages for its whole reach (prompt plus max_tokens) are free, so
that an admitted request always finishes and no two can wait for each other's pages. Admission is
in order of arrival: nobody overtakes, so nobody starves. Prefill and decode steps alternate while
both have work: new requests do not stall running ones, and running ones do not stall new ones.
"""

from collections import deque

from openk2.engine.pages import PagePool
from openk2.engine.request import Request
from openk2.protocol import EngineBusyError


class Scheduler:
    """Requests in order of arrival. It is not thread-safe: the engine holds a lock around it."""

    def __init__(self, pool: PagePool, page_size: int, max_running: int, max_waiting: int) -> None:
        for name, value in (("page_size", page_size), ("max_running", max_running)):
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        self.pool, self.page_size = pool, page_size
        self.max_running, self.max_waiting = max_running, max_waiting
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []
        self._prefilled_last = False

    def pages_for(self, request: Request) -> int:
        """Pages that hold the request's whole reach."""
        return -(-request.reach // self.page_size)

    def submit(self, request: Request) -> None:
        """Queue a request. Raises EngineBusyError when `max_waiting` are queued already."""
        if len(self.waiting) >= self.max_waiting:
            raise EngineBusyError(f"{len(self.waiting)} requests are waiting: try again later")
        self.waiting.append(request)

    def next_step(self) -> list[Request]:
        """One new request to prefill, or all running ones to decode; empty if there is no work.

        The requests of one step have equally many pending tokens.
        """
        prefill = self._fits() and not (self._prefilled_last and self.running)
        self._prefilled_last = prefill
        if not prefill:
            return list(self.running)
        request = self.waiting.popleft()
        request.pages = self.pool.allocate(self.pages_for(request))
        self.running.append(request)
        return [request]

    def remove(self, request: Request) -> None:
        """Forget a finished, failed or cancelled request and free its pages."""
        if request in self.running:
            self.running.remove(request)
            self.pool.release(request.pages)
        elif request in self.waiting:
            self.waiting.remove(request)

    def _fits(self) -> bool:
        """Whether the longest-waiting request can start now."""
        return (
            bool(self.waiting)
            and len(self.running) < self.max_running
            and self.pages_for(self.waiting[0]) <= self.pool.free
        )
