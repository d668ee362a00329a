"""`Scheduler`: what the next step computes. Plain Python over ints, lists and a deque.

A step has room for so many tokens. First every request that decodes gets one, then prompts are
read in order of arrival, in chunks that fill the room: a long prompt does not stall those who
decode, and they do not stall it. Requests start in order of arrival and share the pages of equal
beginnings; one whose beginning another is just computing waits for it.

Pages are taken as tokens come. When none is left, pages that nobody uses are evicted; after that
the youngest running request is put back to wait and computes its latents again later. The oldest
is never put back for another, and the longest request fits into all pages, so everything finishes.
"""

from collections import deque
from dataclasses import dataclass

from openk2.engine.pages import PagePool
from openk2.engine.prefix_tree import Node, PrefixTree
from openk2.engine.request import Request
from openk2.protocol import EngineBusyError


@dataclass(frozen=True)
class Work:
    """The next `count` pending tokens of a request."""

    request: Request
    count: int

    @property
    def completes(self) -> bool:
        """Whether it leaves nothing pending, so that the next token can be chosen."""
        return self.count == self.request.pending


class Scheduler:
    """Requests in order of arrival. It is not thread-safe: the engine holds a lock around it.

    step_tokens: tokens a step computes at most; those that decode come first, at least one
        prompt token a step comes with them.
    """

    def __init__(
        self,
        pool: PagePool,
        page_size: int,
        max_running: int,
        max_waiting: int,
        step_tokens: int = 512,
        share_prefixes: bool = True,
    ) -> None:
        sizes = {"page_size": page_size, "max_running": max_running, "step_tokens": step_tokens}
        for name, value in sizes.items():
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        self.pool, self.page_size = pool, page_size
        self.max_running, self.max_waiting = max_running, max_waiting
        self.step_tokens, self.share_prefixes = step_tokens, share_prefixes
        self.tree = PrefixTree(page_size)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []  # in order of arrival
        self.preemptions = 0

    @property
    def available(self) -> int:
        """Pages that are free or that nobody uses."""
        return self.pool.free + self.tree.idle

    def submit(self, request: Request) -> None:
        """Queue a request. Raises EngineBusyError when `max_waiting` are queued already."""
        if len(self.waiting) >= self.max_waiting:
            raise EngineBusyError(f"{len(self.waiting)} requests are waiting: try again later")
        self.waiting.append(request)

    def next_step(self) -> list[Work]:
        """What to compute now; empty if there is no work. `book` tells when it is computed."""
        step: dict[Request, int] = {}
        for request in [r for r in self.running if r.pending == 1]:
            self._plan(step, request, 1)
        room = max(self.step_tokens - len(step), 1)
        for request in [r for r in self.running if r.pending > 1]:
            room -= self._plan(step, request, min(request.pending, room))
        while room > 0 and self._start_next():
            request = self.running[-1]
            room -= self._plan(step, request, min(request.pending, room))
        return [Work(request, count) for request, count in step.items()]

    def book(self, work: Work) -> None:
        """The latents of `work` are stored: count them, and let others use whole pages of them.

        Call it before the next token is appended.
        """
        request, first = work.request, work.request.stored // self.page_size
        request.stored += work.count
        if request not in self.running:
            return  # taken out during the step: its pages are others'
        whole = request.stored // self.page_size
        for node in request.shared[first:whole]:
            node.ready = True
        while len(request.shared) < whole and self._share(request, ready=True):
            pass

    def remove(self, request: Request) -> None:
        """Forget a finished, failed or cancelled request and free its pages."""
        if request in self.running:
            self.running.remove(request)
            self._free(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def fresh_pages(self, request: Request) -> list[int]:
        """The pages that the request alone writes: all but what others may be reading."""
        ready = sum(node.ready for node in request.shared)
        return request.pages[ready:]

    def _plan(self, step: dict[Request, int], request: Request, count: int) -> int:
        """Give `count` tokens a place in the step, with their pages; how many got one."""
        if count < 1 or request not in self.running:  # put back for an older one
            return 0
        missing = -(-(request.stored + count) // self.page_size) - len(request.pages)
        while self.available < missing:
            youngest = self.running[-1]
            self._put_back(youngest)
            step.pop(youngest, None)
            if youngest is request:
                return 0
        if missing > self.pool.free:
            self.pool.release(self.tree.evict(missing - self.pool.free))
        request.pages += self.pool.allocate(max(missing, 0))
        if self.share_prefixes:
            self._announce(request, request.stored + count)
        step[request] = count
        return count

    def _announce(self, request: Request, end: int) -> None:
        """Let others wait for the whole pages of the prompt before `end`."""
        whole = min(end, len(request.prompt)) // self.page_size
        while len(request.shared) < whole and self._share(request, ready=False):
            pass

    def _share(self, request: Request, *, ready: bool) -> bool:
        """Put the request's next page into the tree, or take the tree's in its place."""
        if not self.share_prefixes:
            return False
        index = len(request.shared)
        block = self.tree.block(request.tokens, index)
        node = self.tree.insert(request.shared, block, request.pages[index])
        if node is None:
            known = self.tree.child(request.shared, block)
            if known is None or not ready:
                return False
            self.tree.hold(known)
            self.pool.release([request.pages[index]])
            request.pages[index] = known.page
            node = known
        node.ready = node.ready or ready
        request.shared.append(node)
        return True

    def _start_next(self) -> bool:
        """Start the longest-waiting request if it can start now."""
        if not self.waiting or len(self.running) >= self.max_running:
            return False
        request = self.waiting[0]
        # The last token is computed in any case: the next one is chosen from its output.
        most = 0 if request.scores_prompt else (len(request.tokens) - 1) // self.page_size
        chain, coming = self.tree.match(request.tokens, most)
        if coming and not request.scores_prompt:
            return False
        held_idle = sum(not node.users for node in chain)
        needed = -(-len(request.tokens) // self.page_size) - len(chain)
        if self.available - held_idle < needed:
            return False
        self._start(self.waiting.popleft(), chain)
        return True

    def _start(self, request: Request, chain: list[Node]) -> None:
        for node in chain:
            self.tree.hold(node)
        request.shared = list(chain)
        request.pages = [node.page for node in chain]
        request.stored = len(chain) * self.page_size
        if request.cached is None:
            request.cached = request.stored
        self.running.append(request)

    def _put_back(self, request: Request) -> None:
        """Let the request wait again, before all who came later."""
        self.running.remove(request)
        self._free(request)
        request.stored, request.pages, request.shared = 0, [], []
        if request.scores_prompt:
            request.prompt_scores.clear()
        self.waiting.appendleft(request)
        self.preemptions += 1

    def _free(self, request: Request) -> None:
        """Give back the request's pages; its own lists stay for a step that is computing it."""
        private = request.pages[len(request.shared) :]
        self.pool.release([*private, *self.tree.release(request.shared)])
