"""A state file that is locked, full or gone costs nobody an answer."""

import asyncio
import logging
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from openk2.gateway import ThoughtMemory, thought_table
from openk2.gateway import thought_memory as module


def key(*parts: object) -> bytes:
    return repr(parts).encode().ljust(32, b".")


@pytest.fixture
def quick(monkeypatch):
    """A file that failed is tried again at once."""
    monkeypatch.setattr(module, "REST_SECONDS", 0.0)


def test_two_gateways_find_each_others_thoughts_and_a_restart_finds_all(tmp_path) -> None:
    async def run() -> None:
        path = tmp_path / "state"
        with closing(ThoughtMemory(path)) as one, closing(ThoughtMemory(path)) as other:
            assert await one.keep("a", [key(1)], "one")
            assert await other.keep("a", [key(2)], "two")
            for memory in (one, other):
                assert await memory.find([[key(1)], [key(2)], [key(3)]]) == ["one", "two", None]
                assert await memory.find([]) == []
        with closing(ThoughtMemory(path)) as again:
            assert await again.find([[key(2)], [key(1)]]) == ["two", "one"]

    asyncio.run(run())


def test_what_another_gateway_knows_makes_a_name_uncertain(tmp_path) -> None:
    async def run() -> None:
        path = tmp_path / "state"
        with closing(ThoughtMemory(path)) as one, closing(ThoughtMemory(path)) as other:
            await one.keep("a", [key(1), key("near")], "one")
            await other.keep("a", [key(2), key("near")], "two")
            assert await one.find([[key(0), key("near")]]) == [None]

    asyncio.run(run())


def test_many_writers_at_once_lose_nothing(tmp_path, monkeypatch) -> None:
    # On a busy machine four writers wait for each other longer than a request should.
    monkeypatch.setattr(thought_table, "LOCK_SECONDS", 60.0)
    monkeypatch.setattr(module, "WAIT_SECONDS", 60.0)
    path, gateways, count = tmp_path / "state", 4, 40
    problems: list[BaseException] = []

    def write(number: int) -> None:
        async def run() -> None:
            with closing(ThoughtMemory(path)) as memory:
                keeps = (memory.keep("a", [key(number, i)], f"{number} {i}") for i in range(count))
                assert all(await asyncio.gather(*keeps))
                assert memory.failures == 0

        try:
            asyncio.run(run())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(gateways)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems

    async def read() -> list[str | None]:
        with closing(ThoughtMemory(path)) as memory:
            return await memory.find([[key(n, i)] for n in range(gateways) for i in range(count)])

    assert asyncio.run(read()) == [f"{n} {i}" for n in range(gateways) for i in range(count)]


def test_a_locked_file_costs_a_moment_once_and_this_process_still_remembers(
    tmp_path, caplog, monkeypatch
) -> None:
    caplog.set_level(logging.WARNING)
    path = tmp_path / "state"

    async def run() -> None:
        with closing(ThoughtMemory(path)) as memory, closing(sqlite3.connect(path)) as locker:
            locker.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            keeps = (memory.keep("a", [key(i), key("near", i)], f"{i}") for i in range(100))
            assert all(await asyncio.gather(*keeps))
            assert await memory.find([[key(i)] for i in range(100)]) == [f"{i}" for i in range(100)]
            assert await memory.find([[key(-1), key("near", 7)]]) == ["7"]
            assert time.monotonic() - began < 3
            locker.rollback()
            assert memory.failures >= 1
            memory._rests_until = memory._late_until = 0.0
            await memory.keep("a", [key("later")], "later")
        with closing(ThoughtMemory(path)) as again:
            assert await again.find([[key("later")]]) == ["later"]

    asyncio.run(run())
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "cannot be used now: database is locked" in said[0]
    assert "can be used again" in said[1]


def test_a_disk_that_hangs_costs_a_moment_and_its_queue_does_not_grow(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    hangs = threading.Event()

    async def run() -> None:
        with closing(ThoughtMemory(tmp_path / "state")) as memory:
            memory._thread.submit(hangs.wait)
            try:
                for number in range(200):
                    assert await memory.keep("a", [key(number)], f"{number}")
                    assert await memory.find([[key(number)], [key(-1)]]) == [f"{number}", None]
                assert memory._thread._work_queue.qsize() <= 2
                assert memory.failures == 1
            finally:
                hangs.set()

    began = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - began < 5


def test_a_full_disk_keeps_what_was_written_and_answers_go_on(tmp_path, quick) -> None:
    path = tmp_path / "state"

    async def run() -> None:
        with closing(ThoughtMemory(path)) as memory:
            await memory.keep("a", [key(0)], "first")
            memory._file._db.execute("PRAGMA max_page_count = 20")
            for number in range(1, 40):
                assert await memory.keep("a", [key(number)], f"{number} " * 1000)
            assert memory.failures > 0
            assert await memory.find([[key(39)]]) == ["39 " * 1000]
        with closing(ThoughtMemory(path)) as again:
            assert await again.find([[key(0)]]) == ["first"]

    asyncio.run(run())


def test_a_file_that_breaks_while_it_is_used_is_no_error(tmp_path, quick) -> None:
    path = tmp_path / "state"

    async def run() -> None:
        with closing(ThoughtMemory(path)) as memory:
            await memory.keep("a", [key(0)], "first")
            memory._file._db.execute("DROP TABLE names")
            assert await memory.keep("a", [key(1)], "second")
            assert await memory.find([[key(1)], [key(2)]]) == ["second", None]
            assert memory.stats()["state_failures"] >= 1

    asyncio.run(run())


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_long_history_holds_up_nobody_else(tmp_path, on_disk) -> None:
    count = 10 * module.MOST_AT_ONCE

    async def run() -> None:
        with closing(ThoughtMemory(tmp_path / "state" if on_disk else None)) as memory:
            await memory.keep("a", [key(0)], "first")
            await memory.keep("a", [key(count - 1)], "last")
            turns = [[key(number), key("near", number)] for number in range(count)]
            task, others = asyncio.create_task(memory.find(turns)), 0
            while not task.done():
                await asyncio.sleep(0)
                others += 1
            assert others >= 10
            assert await task == ["first", *[None] * (count - 2), "last"]

    asyncio.run(run())


def test_the_files_thread_is_free_for_others_between_parts_of_a_long_history(tmp_path) -> None:
    async def run() -> list[int]:
        sizes: list[int] = []
        with closing(ThoughtMemory(tmp_path / "state")) as memory:
            whole = memory._file.find
            memory._file.find = lambda turns: sizes.append(len(turns)) or whole(turns)
            await memory.find([[key(number)] for number in range(950)])
        return sizes

    sizes = asyncio.run(run())
    assert sum(sizes) == 950
    assert max(sizes) <= module.MOST_AT_ONCE


def test_a_reader_that_leaves_disturbs_nobody(tmp_path) -> None:
    async def run() -> None:
        with closing(ThoughtMemory(tmp_path / "state")) as memory:
            await memory.keep("a", [key(0)], "first")
            tasks = [asyncio.create_task(memory.find([[key(1)]])) for _ in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert await memory.find([[key(0)], [key(1)]]) == ["first", None]

    asyncio.run(run())
