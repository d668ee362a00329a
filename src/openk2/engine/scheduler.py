"""`Scheduler`: what the next step computes. Plain Python over ints, lists and a deque.

A step has a budget of tokens. Every decoding request gets one first; the rest is filled with
chunks of prompts, so a long prompt does not stall decoding and decoding does not stall it. The
prompt with the fewest tokens left goes first, so a short one does not wait for a long one. A part
is kept for the oldest prompt, which therefore always advances, and a part for those who wait to be
admitted. Requests share the pages of common prefixes, and wait while another computes the prefix
they need.

Requests are admitted in order of arrival, those first whose owner has the fewest places in the
batch: all choices of one HTTP request have one owner. If no place is free, the newest request of
the owner with most places is preempted, so long as it has at least two more. So a request of 128
choices takes the whole batch while it is alone, and half of it beside another. Nor does an owner
fill the queue: it may have no more requests there than places are free.

Pages are allocated as tokens come. If none is free, idle pages of the prefix cache are evicted;
after that the newest running request is preempted and recomputes its latents later. The oldest is
never preempted for another, and the longest request fits into all pages, so everything finishes.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from openk2.engine.page_pool import PagePool
from openk2.engine.prefix_cache import PrefixCache, PrefixNode
from openk2.engine.request import Request
from openk2.protocol import EngineBusyError

# The oldest prompt and those who wait get at least this part of a step's prompt tokens each.
RESERVED_PARTS = 4


@dataclass(frozen=True)
class ScheduledChunk:
    """The next `num_tokens` pending tokens of a request."""

    request: Request
    num_tokens: int

    @property
    def is_last(self) -> bool:
        """Whether nothing stays pending, so that the step samples the request's next token."""
        return self.num_tokens == self.request.num_pending_tokens


class Scheduler:
    """The waiting and the running requests. Not thread-safe: the engine holds a lock around it.

    step_tokens: tokens that a step computes at most. Decoding requests come first; at least one
        prompt token is computed beside them.
    share_prefixes: whether requests with a common prefix share its pages.
    Raises ValueError for a size below 1.
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
        self.prefix_cache = PrefixCache(page_size)
        self.waiting: deque[Request] = deque()
        self.running: list[Request] = []  # in order of arrival
        self.allocated: list[int] = []  # by the last `schedule`; they hold what others left there
        self.num_preemptions = 0

    @property
    def num_available_pages(self) -> int:
        """Pages that are free or idle."""
        return self.pool.num_free + self.prefix_cache.num_idle

    def add(self, request: Request) -> None:
        """Queue a request. Raises EngineBusyError if `max_waiting` requests wait already, or more
        of its owner's than there are free places: a few owners cannot fill the queue."""
        free = self.max_waiting - len(self.waiting)
        if free < 1 or (free < len(self.waiting) and self._num_waiting(request.owner) > free):
            raise EngineBusyError(f"{len(self.waiting)} requests are waiting: try again later")
        self.waiting.append(request)

    def _num_waiting(self, owner: object) -> int:
        return sum(request.owner == owner for request in self.waiting)

    def schedule(self) -> list[ScheduledChunk]:
        """What to compute now; empty if there is no work. Call `mark_computed` afterwards."""
        step: dict[Request, int] = {}
        self.allocated = []
        for request in [r for r in self.running if r.num_pending_tokens == 1]:
            self._schedule(step, request, 1)
        budget = max(self.step_tokens - len(step), 1)
        part = max(budget // RESERVED_PARTS, 1)
        prompts = [r for r in self.running if r.num_pending_tokens > 1]
        shortest_first = sorted(prompts, key=lambda prompt: prompt.num_pending_tokens)
        for oldest in prompts[:1]:
            budget -= self._schedule_more(step, oldest, part)
        for prompt in shortest_first:
            budget -= self._schedule_more(step, prompt, budget - (part if self.waiting else 0))
        passed_over: set[Request] = set()
        while budget > 0 and self._admit_next(step, passed_over):
            budget -= self._schedule_more(step, self.running[-1], budget)
        for prompt in shortest_first:  # what nobody was admitted for
            budget -= self._schedule_more(step, prompt, budget)
        return [ScheduledChunk(request, count) for request, count in step.items()]

    def mark_computed(self, chunk: ScheduledChunk) -> None:
        """Record that the chunk's latents are in the cache; its full pages may be shared now.

        Call it before the next token is appended.
        """
        request, first = chunk.request, chunk.request.num_computed_tokens // self.page_size
        request.num_computed_tokens += chunk.num_tokens
        if request not in self.running:
            return  # removed during the step: others own its pages
        full = request.num_computed_tokens // self.page_size
        for node in request.prefix_nodes[first:full]:
            node.computed = True
        while len(request.prefix_nodes) < full and self._cache_page(request, computed=True):
            pass

    def remove(self, request: Request) -> None:
        """Drop a finished, failed or cancelled request and free its pages."""
        if request in self.running:
            self.running.remove(request)
            self._free_pages(request)
        elif request in self.waiting:
            self.waiting.remove(request)

    def _schedule_more(self, step: dict[Request, int], prompt: Request, most: int) -> int:
        """Put up to `most` further tokens of a prompt into the step; returns how many fit."""
        scheduled = step.get(prompt, 0)
        more = min(prompt.num_pending_tokens - scheduled, most)
        if more < 1 or not self._schedule(step, prompt, scheduled + more):
            return 0
        return more

    def _schedule(self, step: dict[Request, int], request: Request, count: int) -> int:
        """Put `count` tokens into the step and allocate their pages; returns how many fit."""
        if count < 1 or request not in self.running:  # preempted for an older one
            return 0
        end = request.num_computed_tokens + count
        missing = -(-end // self.page_size) - len(request.page_table)
        while self.num_available_pages < missing:
            newest = self.running[-1]
            self._preempt(newest)
            step.pop(newest, None)
            if newest is request:
                return 0
        if missing > self.pool.num_free:
            self.pool.free(self.prefix_cache.evict(missing - self.pool.num_free))
        fresh = self.pool.allocate(max(missing, 0))
        request.page_table += fresh
        self.allocated += fresh
        if self.share_prefixes:
            self._cache_uncomputed(request, end)
        step[request] = count
        return count

    def _cache_uncomputed(self, request: Request, end: int) -> None:
        """Put the prompt's full pages before `end` into the prefix cache: others wait for them."""
        full = min(end, len(request.prompt)) // self.page_size
        while len(request.prefix_nodes) < full and self._cache_page(request, computed=False):
            pass

    def _cache_page(self, request: Request, *, computed: bool) -> bool:
        """Add the request's next page to the prefix cache, or use the cached page instead."""
        if not self.share_prefixes:
            return False
        index = len(request.prefix_nodes)
        tokens = self.prefix_cache.page_tokens(request.tokens, index)
        node = self.prefix_cache.insert(request.prefix_nodes, tokens, request.page_table[index])
        if node is None:
            cached = self.prefix_cache.find(request.prefix_nodes, tokens)
            if cached is None or not computed:
                return False
            self.prefix_cache.acquire(cached)
            self.pool.free([request.page_table[index]])
            request.page_table[index] = cached.page
            node = cached
        node.computed = node.computed or computed
        request.prefix_nodes.append(node)
        return True

    def _admit_next(self, step: dict[Request, int], passed_over: set[Request]) -> bool:
        """Run the request that is next, if it can run now; its place may be another owner's.

        passed_over: in this step, since a page of theirs is being computed; added to.
        """
        shares = Counter(request.owner for request in self.running)
        for request in self._in_turn(shares):
            if request in passed_over:
                continue
            # The last token is always computed: the next one is sampled from its output.
            last = len(request.tokens) - 1
            most = 0 if request.scores_prompt else last // self.page_size
            chain, waits = self.prefix_cache.match(request.tokens, most, request.known_prefix)
            if not waits:
                break
            request.known_prefix = chain
            passed_over.add(request)
        else:
            return False
        new = -(-len(request.tokens) // self.page_size) - len(chain)
        for victim in self._victims(request, shares, chain, new):
            self._preempt(victim)
            step.pop(victim, None)
        needed = new + sum(not node.ref_count for node in chain)
        if len(self.running) >= self.max_running or self.num_available_pages < needed:
            return False
        self.waiting.remove(request)
        self._admit(request, chain)
        return True

    def _in_turn(self, shares: Mapping[object, int]) -> Iterator[Request]:
        """Those that wait: of the owners with the fewest places first, then by arrival."""
        others = []
        for request in self.waiting:
            if shares[request.owner]:
                others.append(request)
            else:
                yield request
        yield from sorted(others, key=lambda request: shares[request.owner])

    def _victims(
        self, request: Request, shares: Counter[object], chain: list[PrefixNode], new: int
    ) -> list[Request]:
        """Whom to preempt so that `request` has a place and, beside `chain`, `new` pages: the
        newest requests of the owners with most places, as long as they keep more than its own.

        Empty if it needs nobody's place, or if that would not be enough.
        """
        shares, kept = shares.copy(), set(chain)
        places = self.max_running - len(self.running)
        pages = self.num_available_pages - sum(not node.ref_count for node in chain)
        victims: list[Request] = []
        while places < 1 or pages < new:
            owner, most = max(shares.items(), key=lambda pair: pair[1], default=(None, 0))
            if most <= shares[request.owner] + 1:
                return []
            victim = [r for r in self.running if r.owner == owner][most - 1]
            victims.append(victim)
            shares[owner] -= 1
            places += 1
            staying = sum(n.ref_count > 1 or n in kept for n in victim.prefix_nodes)
            pages += len(victim.page_table) - staying
        return victims

    def _admit(self, request: Request, chain: list[PrefixNode]) -> None:
        for node in chain:
            self.prefix_cache.acquire(node)
        request.prefix_nodes, request.known_prefix = list(chain), []
        request.page_table = [node.page for node in chain]
        request.num_computed_tokens = len(chain) * self.page_size
        if request.num_cached_tokens is None:
            request.num_cached_tokens = request.num_computed_tokens
        self.running.append(request)

    def _preempt(self, request: Request) -> None:
        """Free the request's pages and put it back at the head of the waiting queue."""
        self.running.remove(request)
        self._free_pages(request)
        request.num_computed_tokens, request.page_table, request.prefix_nodes = 0, [], []
        if request.scores_prompt:
            request.prompt_scores.clear()
        self.waiting.appendleft(request)
        self.num_preemptions += 1

    def _free_pages(self, request: Request) -> None:
        """Free the request's pages. Its page table stays, for a step that is computing it."""
        private = request.page_table[len(request.prefix_nodes) :]
        self.pool.free([*private, *self.prefix_cache.release(request.prefix_nodes)])
