"""Several streams at once: order, errors, and who is closed when."""

import asyncio

import pytest

from openk2.server.choices import all_of, interleaved


class Stream:
    """Yields its items; a number below 0 is an error. closed tells that it has let go."""

    def __init__(self, *items):
        self.items = items
        self.given = 0
        self.closed = False

    async def run(self):
        try:
            for item in self.items:
                await asyncio.sleep(0)
                if item < 0:
                    raise ZeroDivisionError(item)
                self.given += 1
                yield item
        finally:
            self.closed = True


def collect(streams):
    async def run():
        return [item async for item in interleaved([stream.run() for stream in streams])]

    return asyncio.run(run())


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_streams_items_come_in_order_with_its_number(count):
    streams = [Stream(*range(number, number + 4)) for number in range(count)]
    items = collect(streams)
    for number in range(count):
        assert [item for n, item in items if n == number] == list(range(number, number + 4))
    assert len(items) == 4 * count
    assert all(stream.closed for stream in streams)


def test_streams_take_turns():
    assert [number for number, _ in collect([Stream(*range(9)), Stream(*range(9))])][:4] in (
        [0, 1, 0, 1],
        [1, 0, 1, 0],
    )


@pytest.mark.parametrize("others", [0, 1, 3])
def test_the_first_error_ends_all(others):
    streams = [Stream(1, -1, 2), *(Stream(*range(1000)) for _ in range(others))]
    with pytest.raises(ZeroDivisionError):
        collect(streams)
    assert all(stream.closed for stream in streams)
    assert all(stream.given < 10 for stream in streams)


@pytest.mark.parametrize("count", [1, 3])
def test_closing_closes_all(count):
    streams = [Stream(*range(1000)) for _ in range(count)]

    async def leave():
        items = interleaved([stream.run() for stream in streams])
        await anext(items)
        await items.aclose()
        assert all(stream.closed for stream in streams)

    asyncio.run(leave())


def test_no_stream_runs_ahead_of_who_reads():
    streams = [Stream(*range(1000)) for _ in range(2)]

    async def read_slowly():
        items = interleaved([stream.run() for stream in streams])
        await anext(items)
        for _ in range(50):
            await asyncio.sleep(0)
        await items.aclose()

    asyncio.run(read_slowly())
    assert sum(stream.given for stream in streams) <= 3


def test_works_give_their_results_in_order():
    async def later(seconds, value):
        await asyncio.sleep(seconds)
        return value

    assert asyncio.run(all_of([later(0.02, 1), later(0.0, 2)])) == [1, 2]


def test_a_failing_work_cancels_the_others():
    ended = []

    async def long():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("long")

    async def failing():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(all_of([long(), failing()]))
    assert ended == ["long"]
