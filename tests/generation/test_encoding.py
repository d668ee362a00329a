"""One prompt is encoded once, however many answers it is for, and not at all for nobody."""

import asyncio
import threading
from dataclasses import replace

import pytest

from openk2.generation import ChatRequest
from openk2.generation.encoding import encoding_threads, key_of

REQUEST = ChatRequest([{"role": "user", "content": "hi"}], owner="a")


def test_calls_with_one_key_share_one_result() -> None:
    threads, runs, gate = encoding_threads(), [], threading.Event()

    def work(name: str) -> str:
        runs.append(name)
        gate.wait(10)
        return name

    async def ask() -> list[str]:
        asked = [threads.run_once("x", work, "x") for _ in range(50)]
        asked.append(threads.run_once("y", work, "y"))
        waiting = asyncio.gather(*asked)
        while len(runs) < 2:
            await asyncio.sleep(0.001)
        gate.set()
        return await waiting

    assert asyncio.run(ask()) == ["x"] * 50 + ["y"]
    assert sorted(runs) == ["x", "y"]
    threads.close()


def test_an_error_is_everyones_and_the_next_call_begins_anew() -> None:
    threads, answers = encoding_threads(), iter([ValueError("no"), "yes"])

    def work() -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    async def ask() -> tuple[list[object], str]:
        asked = [threads.run_once("x", work) for _ in range(3)]
        failed = await asyncio.gather(*asked, return_exceptions=True)
        return list(failed), await threads.run_once("x", work)

    failed, found = asyncio.run(ask())
    assert [type(error) for error in failed] == [ValueError] * 3
    assert found == "yes"
    threads.close()


def test_who_leaves_stops_nobody_and_the_last_to_leave_stops_the_work() -> None:
    threads, runs, gate = encoding_threads(), [], threading.Event()

    async def ask() -> list[object]:
        busy = [asyncio.create_task(threads.run(gate.wait, 10)) for _ in range(2)]
        first, second, alone = (
            asyncio.create_task(threads.run_once(key, runs.append, key)) for key in "xxy"
        )
        await asyncio.sleep(0.01)
        first.cancel()
        alone.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        return await asyncio.gather(*busy, first, second, alone, return_exceptions=True)

    *_, first, second, alone = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(alone, asyncio.CancelledError)
    assert second is None
    assert runs == ["x"]
    threads.close()


@pytest.mark.parametrize("owner", [None, "b"])
def test_only_answers_of_one_request_to_one_prompt_have_one_key(owner: str | None) -> None:
    other = replace(REQUEST, owner=owner)
    assert key_of(REQUEST) == key_of(replace(REQUEST, seed=3, messages=[*REQUEST.messages]))
    assert key_of(REQUEST, REQUEST.messages) == key_of(replace(REQUEST, seed=3), REQUEST.messages)
    assert key_of(REQUEST, REQUEST.messages) != key_of(REQUEST, [])
    assert key_of(other, other.messages) != key_of(REQUEST, REQUEST.messages)
    if owner is None:
        assert key_of(other, other.messages) != key_of(other, other.messages)
