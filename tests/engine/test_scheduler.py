import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.engine.pages import PagePool
from openk2.engine.request import Request
from openk2.engine.scheduler import Scheduler
from openk2.protocol import EngineBusyError, SamplingParams


def make(prompt: int, max_tokens: int) -> Request:
    return Request(tuple(range(prompt)), SamplingParams(max_tokens=max_tokens))


def run_step(scheduler: Scheduler) -> list[Request]:
    """One step as the engine does it: every request gets a token, finished ones leave."""
    requests = scheduler.next_step()
    assert len({len(request.pending) for request in requests}) <= 1
    for request in requests:
        request.stored += len(request.pending)
        assert request.stored <= len(request.pages) * scheduler.page_size
        if request.accept(7):
            scheduler.remove(request)
    return requests


def check_pages(scheduler: Scheduler) -> None:
    """No page leaks and none belongs to two requests."""
    held = [page for request in scheduler.running for page in request.pages]
    assert len(held) == len(set(held))
    assert len(held) + scheduler.pool.free == scheduler.pool.count


arrivals = st.tuples(st.just("arrive"), st.integers(1, 12), st.integers(1, 8))
cancellations = st.tuples(st.just("cancel"), st.integers(0, 30), st.just(0))
steps = st.tuples(st.just("step"), st.just(0), st.just(0))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(arrivals | cancellations | steps | steps, max_size=60),
    st.integers(1, 5),
    st.integers(20, 40),
    st.integers(1, 4),
)
def test_whatever_comes_and_leaves_pages_are_whole_and_everything_finishes(
    events: list[tuple[str, int, int]], page_size: int, tokens: int, max_running: int
) -> None:
    pool = PagePool(-(-tokens // page_size))
    scheduler = Scheduler(pool, page_size, max_running, max_waiting=100)
    requests: list[Request] = []
    cancelled: set[Request] = set()
    for kind, first, second in events:
        if kind == "arrive":
            requests.append(make(first, second))
            scheduler.submit(requests[-1])
        elif kind == "cancel" and first < len(requests):
            scheduler.remove(requests[first])
            cancelled.add(requests[first])
        elif kind == "step":
            run_step(scheduler)
        check_pages(scheduler)
    longest = sum(request.params.max_tokens + 1 for request in requests)
    for _ in range(longest):
        run_step(scheduler)
        check_pages(scheduler)
    assert not scheduler.waiting
    assert not scheduler.running
    assert pool.free == pool.count
    for request in requests:
        finished = len(request.output) == request.params.max_tokens
        assert finished or request in cancelled


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 8)), max_size=20), st.integers(1, 4))
def test_requests_start_in_order_of_arrival(sizes: list[tuple[int, int]], running: int) -> None:
    scheduler = Scheduler(PagePool(5), 4, running, max_waiting=100)
    requests = [make(*size) for size in sizes]
    for request in requests:
        scheduler.submit(request)
    started: list[Request] = []
    while step := run_step(scheduler):
        started += [request for request in step if len(request.output) == 1]
    assert started == requests


def test_running_requests_advance_at_least_every_second_step() -> None:
    scheduler = Scheduler(PagePool(100), 4, 10, max_waiting=100)
    first = make(4, 20)
    scheduler.submit(first)
    run_step(scheduler)
    for arrived in range(8):
        scheduler.submit(make(4, 1))
        run_step(scheduler)
        run_step(scheduler)
        assert len(first.output) == arrived + 2


def test_a_full_queue_refuses_the_next_request() -> None:
    scheduler = Scheduler(PagePool(4), 4, 1, max_waiting=2)
    scheduler.submit(make(1, 1))
    scheduler.submit(make(1, 1))
    with pytest.raises(EngineBusyError, match="2 requests are waiting"):
        scheduler.submit(make(1, 1))


def test_removing_twice_frees_pages_once() -> None:
    scheduler = Scheduler(PagePool(4), 4, 1, max_waiting=2)
    request = make(4, 4)
    scheduler.submit(request)
    scheduler.next_step()
    scheduler.remove(request)
    scheduler.remove(request)
    assert scheduler.pool.free == 4
