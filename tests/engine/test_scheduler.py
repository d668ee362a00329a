import contextlib
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.engine.page_pool import PagePool
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk, Scheduler
from openk2.protocol import EngineBusyError, SamplingParams


def make(
    prompt: list[int], max_tokens: int, scores: bool = False, owner: str | None = None
) -> Request:
    params = SamplingParams(
        max_tokens=max_tokens, prompt_logprobs=0 if scores else None, owner=owner
    )
    return Request(tuple(prompt), params)


class Cache:
    """What the pages hold: for each slot, all tokens up to the one that was stored there."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.slots: dict[tuple[int, int], tuple[int, ...]] = {}

    def step(self, between: Callable[[], None] = lambda: None) -> list[ScheduledChunk]:
        """One step as the engine does it; `between` happens while it computes."""
        scheduler, size = self.scheduler, self.scheduler.page_size
        step = scheduler.schedule()
        assert len({chunk.request for chunk in step}) == len(step)
        for chunk in step:
            self.check_stored(chunk.request)
        complete = [chunk.request for chunk in step if chunk.is_last]
        between()
        for chunk in step:
            request = chunk.request
            for place in range(
                request.num_computed_tokens, request.num_computed_tokens + chunk.num_tokens
            ):
                slot = request.page_table[place // size], place % size
                self.slots[slot] = tuple(request.tokens[: place + 1])
            if request.scores_prompt:
                request.prompt_scores += [None] * chunk.num_tokens
        for chunk in step:
            scheduler.mark_computed(chunk)
        for request in complete:
            if request.append(7 + len(request.tokens) % 2):
                scheduler.remove(request)
        self.check_pages()
        return step

    def check_stored(self, request: Request) -> None:
        size = self.scheduler.page_size
        for place in range(request.num_computed_tokens):
            slot = request.page_table[place // size], place % size
            assert self.slots[slot] == tuple(request.tokens[: place + 1])

    def check_pages(self) -> None:
        """No page leaks, none is free and in use, none is private to two requests."""
        scheduler = self.scheduler
        running = scheduler.running
        private = [page for r in running for page in r.page_table[len(r.prefix_nodes) :]]
        shared = {node.page for r in running for node in r.prefix_nodes}
        assert len(private) == len(set(private))
        assert not shared & set(private)
        pool, idle = scheduler.pool, scheduler.prefix_cache.num_idle
        assert len(private) + len(shared) + idle + pool.num_free == pool.num_pages


prompts = st.lists(st.integers(0, 1), min_size=1, max_size=14)
arrivals = st.tuples(
    st.just("arrive"), prompts, st.integers(1, 8), st.booleans(), st.sampled_from([None, "a", "b"])
)
cancellations = st.tuples(
    st.sampled_from(["cancel", "cancel in step"]),
    st.integers(0, 30),
    *[st.just(0)] * 3,
)
steps = st.tuples(st.just("step"), *[st.just(0)] * 4)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(arrivals | arrivals | cancellations | steps | steps, max_size=60),
    st.integers(1, 5),
    st.integers(22, 40),
    st.integers(1, 4),
    st.integers(1, 9),
    st.booleans(),
)
def test_whatever_comes_and_leaves_pages_are_whole_and_everything_finishes(
    events: list[tuple],
    page_size: int,
    tokens: int,
    max_running: int,
    step_tokens: int,
    share: bool,
) -> None:
    pool = PagePool(-(-tokens // page_size))
    scheduler = Scheduler(pool, page_size, max_running, 100, step_tokens, share)
    cache = Cache(scheduler)
    requests: list[Request] = []
    cancelled: set[Request] = set()

    def cancel(index: int) -> None:
        if index < len(requests):
            scheduler.remove(requests[index])
            cancelled.add(requests[index])

    for kind, first, second, third, owner in events:
        if kind == "arrive":
            requests.append(make(first, second, third, owner))
            scheduler.add(requests[-1])
        elif kind == "cancel":
            cancel(first)
        elif kind == "cancel in step":
            cache.step(lambda index=first: cancel(index))
        else:
            cache.step()
        cache.check_pages()
    # A preempted request computes its tokens again, at most once for each older one's pages.
    work_left = sum(len(r.prompt) + 2 * r.params.max_tokens for r in requests)
    for _ in range(work_left * (1 + pool.num_pages)):
        if not cache.step():
            break
    assert not scheduler.waiting
    assert not scheduler.running
    assert scheduler.num_available_pages == pool.num_pages
    for request in requests:
        finished = request.num_output_tokens == request.params.max_tokens
        assert finished or request in cancelled
        if request.params.prompt_logprobs is not None and request.num_output_tokens:
            assert len(request.prompt_scores) == len(request.prompt)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(prompts, st.integers(1, 8)), max_size=20),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_requests_start_in_order_of_arrival(
    sizes: list[tuple[list[int], int]], running: int, step_tokens: int
) -> None:
    # With shared prefixes, one that waits for a page lets others pass.
    scheduler = Scheduler(PagePool(6), 4, running, 100, step_tokens, share_prefixes=False)
    requests = [make(*size) for size in sizes]
    for request in requests:
        scheduler.add(request)
    cache, started = Cache(scheduler), []
    while step := cache.step():
        started += [chunk.request for chunk in step if chunk.request not in started]
    assert started == requests


def test_who_decodes_advances_every_step_while_a_long_prompt_is_read_in_chunks() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100, step_tokens=8)
    cache, first = Cache(scheduler), make([1] * 4, 20)
    scheduler.add(first)
    cache.step()
    scheduler.add(make([0] * 21, 1))
    chunks = []
    for done in range(2, 5):
        chunks += [chunk.num_tokens for chunk in cache.step() if chunk.request is not first]
        assert first.num_output_tokens == done
    assert chunks == [7, 7, 7]


def test_a_short_prompt_does_not_wait_for_a_long_one() -> None:
    cache = Cache(Scheduler(PagePool(64), 16, max_running=4, max_waiting=9, step_tokens=40))
    long, other = make([0] * 800, 1), make([1] * 600, 1)
    cache.scheduler.add(long)
    cache.scheduler.add(other)
    cache.step()
    cache.step()
    short = make([2] * 12, 1)
    cache.scheduler.add(short)
    for _ in range(2):
        assert sum(chunk.num_tokens for chunk in cache.step()) == 40
    assert short not in cache.scheduler.running
    assert short.num_output_tokens == 1


def test_the_oldest_prompt_advances_whatever_shorter_ones_come() -> None:
    cache = Cache(Scheduler(PagePool(64), 16, max_running=8, max_waiting=999, step_tokens=40))
    long = make([0] * 400, 1)
    cache.scheduler.add(long)
    for number in range(1, 40):
        cache.scheduler.add(make([number] + [3] * 99, 1))
        cache.step()
    assert long not in [*cache.scheduler.running, *cache.scheduler.waiting]


def test_equal_prompts_that_come_together_are_computed_once() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100, step_tokens=8)
    prompt = list(range(18))
    for _ in range(3):
        scheduler.add(make(prompt, 2))
    cache, computed = Cache(scheduler), 0
    requests = list(scheduler.waiting)
    while step := cache.step():
        computed += sum(chunk.num_tokens for chunk in step)
    # The first reads 18 tokens, the others what no whole page holds; each stores one output token.
    assert computed == 18 + 2 + 2 + 3
    assert [request.num_cached_tokens for request in requests] == [0, 16, 16]


def test_a_request_waits_for_a_prefix_that_another_computes_in_this_step() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100, step_tokens=50)
    first, same, other = make(list(range(18)), 2), make(list(range(18)), 2), make([9] * 5, 2)
    for request in (first, same, other):
        scheduler.add(request)
    cache = Cache(scheduler)
    # `other` has nothing to wait for.
    assert [chunk.request for chunk in cache.step()] == [first, other]
    assert [chunk.num_tokens for chunk in cache.step()] == [1, 1, 2]
    assert same.num_cached_tokens == 16


def test_a_short_request_does_not_wait_for_the_long_prefix_that_others_share() -> None:
    scheduler = Scheduler(PagePool(200), 8, 20, 100, step_tokens=32)
    prefix = list(range(392))
    for place in range(3):
        scheduler.add(make([*prefix, place], 2))
    cache, short = Cache(scheduler), make([9] * 3, 1)
    cache.step()
    scheduler.add(short)
    assert short in [chunk.request for chunk in cache.step()]
    computed = 0
    while step := cache.step():
        computed += sum(chunk.num_tokens for chunk in step if chunk.request is not short)
    assert computed < 392 + 3 * 8 + 3, "the prefix was computed once"


def test_a_request_that_waits_for_a_page_searches_no_page_twice() -> None:
    """Otherwise a thousand requests that wait for one prefix would search it in every step."""
    scheduler = Scheduler(PagePool(200), 8, 20, 100, step_tokens=32)
    prefix = list(range(392))
    first, same = make([*prefix, 1], 2), make([*prefix, 2], 2)
    scheduler.add(first)
    scheduler.add(same)
    cache, searched = Cache(scheduler), []
    page_tokens = scheduler.prefix_cache.page_tokens

    def counted(tokens: Sequence[int], index: int) -> tuple[int, ...]:
        if tokens is same.tokens and same in scheduler.waiting:
            searched.append(index)
        return page_tokens(tokens, index)

    scheduler.prefix_cache.page_tokens = counted
    while same in scheduler.waiting:
        cache.step()
    times = Counter(searched)
    assert max(times.values()) == 2, "once while it is computed, once when it is there"
    assert len(times) == len(prefix) // 8


def test_a_preempted_request_is_the_next_to_run_again() -> None:
    scheduler = Scheduler(PagePool(4), 4, 3, 100, share_prefixes=False)
    requests = [make([number] * 7, 20 - number) for number in range(3)]
    for request in requests:
        scheduler.add(request)
    cache = Cache(scheduler)
    while not scheduler.num_preemptions:
        cache.step()
    assert scheduler.running == requests[:1]
    assert list(scheduler.waiting) == requests[1:]


def test_a_request_that_is_preempted_while_it_scores_its_prompt_scores_it_anew() -> None:
    scheduler = Scheduler(PagePool(4), 4, 3, 100, step_tokens=3, share_prefixes=False)
    first, second = make([1] * 2, 13), make([2] * 12, 1, scores=True)
    scheduler.add(first)
    cache = Cache(scheduler)
    cache.step()
    scheduler.add(second)
    while not scheduler.num_preemptions:
        cache.step()
    assert second.prompt_scores == []
    assert scheduler.waiting[0] is second
    while cache.step():
        pass
    assert len(second.prompt_scores) == len(second.prompt)


def test_allocated_pages_are_those_that_a_step_gave_out() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100, step_tokens=50)
    cache, first = Cache(scheduler), make(list(range(10)), 9)
    scheduler.add(first)
    cache.step()
    assert scheduler.allocated == first.page_table
    second = make(list(range(10)), 9)
    scheduler.add(second)
    cache.step()
    assert scheduler.allocated == second.page_table[2:]
    cache.step()
    assert scheduler.allocated == []


def test_who_comes_later_gets_half_of_what_another_owner_had_alone() -> None:
    scheduler = Scheduler(PagePool(200), 4, 8, 100)
    cache = Cache(scheduler)
    many = [make([1, index], 40, owner="many") for index in range(20)]
    for request in many:
        scheduler.add(request)
    cache.step()
    assert scheduler.running == many[:8]
    one = make([2], 3, owner="one")
    scheduler.add(one)
    assert one in [chunk.request for chunk in cache.step()]
    assert scheduler.running == [*many[:7], one], "the newest makes room"
    others = [make([3, index], 40, owner="others") for index in range(20)]
    for request in others:
        scheduler.add(request)
    for _ in range(4):
        cache.step()
    assert [r.owner for r in scheduler.running].count("many") == 4
    assert [r.owner for r in scheduler.running].count("others") == 4


def test_without_owners_nobody_loses_a_place() -> None:
    scheduler = Scheduler(PagePool(200), 4, 4, 100)
    cache, requests = Cache(scheduler), [make([1, index], 9) for index in range(20)]
    for request in requests:
        scheduler.add(request)
    while cache.step():
        pass
    assert scheduler.num_preemptions == 0


def test_a_place_is_not_taken_where_pages_would_still_be_missing() -> None:
    scheduler = Scheduler(PagePool(8), 4, 4, 100, share_prefixes=False)
    cache = Cache(scheduler)
    many = [make([1] * 7, 9, owner="many") for _ in range(4)]
    for request in many:
        scheduler.add(request)
    cache.step()
    scheduler.add(make([2] * 31, 1, owner="long"))
    cache.step()
    assert scheduler.num_preemptions == 0 or many[0] in scheduler.running


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 12)), min_size=1, max_size=40),
    st.integers(2, 6),
)
def test_no_owner_waits_while_another_has_two_places_more(
    asked: list[tuple[str, int]], places: int
) -> None:
    scheduler = Scheduler(PagePool(400), 4, places, 100)
    cache = Cache(scheduler)
    for number, (owner, max_tokens) in enumerate(asked):
        scheduler.add(make([number % 7, number], max_tokens, owner=owner))
        cache.step()
    while True:
        step = scheduler.schedule()
        held = [r.owner for r in scheduler.running]
        for waiting in {r.owner for r in scheduler.waiting}:
            assert max(map(held.count, held)) <= held.count(waiting) + 1
        if not step:
            break
        for chunk in step:
            complete = chunk.is_last
            scheduler.mark_computed(chunk)
            if complete and chunk.request.append(1):
                scheduler.remove(chunk.request)
    assert not scheduler.waiting


def test_an_answer_is_found_again_when_the_next_turn_begins_with_it() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100)
    cache, first = Cache(scheduler), make([1, 2, 3], 10)
    scheduler.add(first)
    while cache.step():
        pass
    second = make([*first.tokens, 5, 5], 1)
    scheduler.add(second)
    cache.step()
    assert second.num_cached_tokens == 12


def test_what_was_used_longest_ago_is_evicted_first_and_what_is_in_use_never() -> None:
    scheduler = Scheduler(PagePool(7), 4, 10, 100)
    cache = Cache(scheduler)

    def run(prompt: list[int], max_tokens: int = 1) -> Request:
        request = make(prompt, max_tokens)
        scheduler.add(request)
        cache.step()
        return request

    old, new = [1] * 9, [2] * 9
    run(old)
    run(new)
    run(old)  # now `new` is the one used longest ago
    run([3] * 13, 2)
    assert run(old).num_cached_tokens == 8
    assert run(new).num_cached_tokens < 8


def test_a_request_that_scores_its_prompt_computes_all_of_it() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, 100)
    cache = Cache(scheduler)
    for scores in (False, True):
        request = make(list(range(12)), 1, scores)
        scheduler.add(request)
        assert cache.step() == [ScheduledChunk(request, 12)]
        assert request.num_cached_tokens == 0


def test_a_full_queue_refuses_the_next_request() -> None:
    scheduler = Scheduler(PagePool(4), 4, 1, max_waiting=2)
    scheduler.add(make([1], 1))
    scheduler.add(make([1], 1))
    with pytest.raises(EngineBusyError, match="2 requests are waiting"):
        scheduler.add(make([1], 1))


def test_owners_of_many_requests_leave_room_in_the_queue_for_others() -> None:
    scheduler = Scheduler(PagePool(4), 4, 1, max_waiting=64)
    for owner in "abcd":
        for _ in range(64):
            with contextlib.suppress(EngineBusyError):
                scheduler.add(make([1], 1, owner=owner))
    waiting = Counter(request.owner for request in scheduler.waiting)
    assert waiting == {"a": 33, "b": 16, "c": 8, "d": 4}
    scheduler.add(make([1], 1))
    for _ in range(2):
        scheduler.add(make([1], 1, owner="e"))
    assert len(scheduler.waiting) == 64
    with pytest.raises(EngineBusyError, match="64 requests are waiting"):
        scheduler.add(make([1], 1))


def test_removing_twice_frees_pages_once() -> None:
    scheduler = Scheduler(PagePool(4), 4, 1, max_waiting=2)
    request = make([1] * 4, 4)
    scheduler.add(request)
    scheduler.schedule()
    scheduler.remove(request)
    scheduler.remove(request)
    assert scheduler.pool.num_free == 4


def test_a_step_is_full_also_if_a_request_has_to_leave_it() -> None:
    scheduler = Scheduler(PagePool(13), 4, 4, 100, step_tokens=8, share_prefixes=False)
    cache = Cache(scheduler)
    scheduler.add(make([0] * 19, 5))
    scheduler.add(make([1] * 31, 2))
    sizes = [sum(chunk.num_tokens for chunk in cache.step())]
    scheduler.add(make([2] * 25, 2))
    while scheduler.running:
        sizes.append(sum(chunk.num_tokens for chunk in cache.step()))
    assert scheduler.num_preemptions == 1
    assert sizes[:12] == [8] * 12
