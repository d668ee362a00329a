"""A busy server is asked again; what it never answers is counted apart and ends nothing else."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from openk2.eval.crowd import Unanswered, map_bounded
from openk2.eval.everyday import QUESTIONS, ask_everyday
from openk2.eval.retrying import WAITS, RetryingChat
from openk2.eval.scenario import run_scenarios
from openk2.eval.tool_calls import score_tool_calls
from openk2.eval.weather_loop import run_weather_loop
from openk2.eval.weather_variations import VARIATIONS
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatRequest,
    ConnectionLostError,
    EndpointError,
    HttpChat,
    ScriptedChat,
    UnreachableError,
)
from openk2.generation import complete as ask
from openk2.protocol import EngineBusyError

BUSY, LOST = EngineBusyError("queue full"), ConnectionLostError("connection reset")
GONE, BROKEN = UnreachableError("refused"), EndpointError("no chat completion")
ASKED = ChatRequest([{"role": "user", "content": "Hello?"}])


class Faulty:
    """Says "No."; `error` gives the error of a request by its number, None for an answer."""

    def __init__(self, error: Callable[[int], Exception | None]) -> None:
        self.error = error
        self.asked = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.asked += 1
        events = ScriptedChat([ChatAnswer("No.")]).stream(request)
        yield await anext(events)  # an error may come in the middle of an answer
        if (error := self.error(self.asked)) is not None:
            raise error
        async for event in events:
            yield event


def retrying(faulty: Faulty) -> tuple[RetryingChat, list[float]]:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    return RetryingChat(faulty, sleep), waited


@pytest.mark.parametrize("error", [BUSY, LOST, GONE, EndpointError("HTTP 502", 502)])
def test_what_may_pass_is_asked_for_again_with_longer_and_longer_waits(error: Exception) -> None:
    faulty = Faulty(lambda number: error if number < 4 else None)
    chat, waited = retrying(faulty)
    assert asyncio.run(ask(chat, ASKED)).content == "No."
    assert waited == list(WAITS[:3]) == sorted(set(waited))
    assert chat.given_up == []


def test_it_gives_up_after_four_retries_and_at_once_on_what_will_not_pass() -> None:
    chat, waited = retrying(Faulty(lambda number: BUSY))
    with pytest.raises(EngineBusyError):
        asyncio.run(ask(chat, ASKED))
    assert (len(waited), chat.given_up) == (4, [BUSY])
    for error in (EndpointError("no such model", 404), BROKEN):
        chat, waited = retrying(Faulty(lambda number, error=error: error))  # type: ignore[misc]
        with pytest.raises(EndpointError, match=str(error)):
            asyncio.run(ask(chat, ASKED))
        assert waited == []


def test_a_busy_server_says_how_long_to_wait_but_no_more_than_a_minute() -> None:
    said = iter((1.0, 20.0, 3600.0, None))
    chat, waited = retrying(Faulty(lambda number: EngineBusyError("full", next(said, None))))
    with pytest.raises(EngineBusyError):
        asyncio.run(ask(chat, ASKED))
    assert waited == [WAITS[0], 20.0, 60.0, WAITS[3]]


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1"])
def test_an_address_that_is_none_is_not_asked_again(url: str) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    with pytest.raises(EndpointError):
        asyncio.run(ask(RetryingChat(HttpChat(url, "m"), sleep), ASKED))
    assert waited == []


def test_an_answer_that_is_broken_for_good_costs_its_own_turn_only() -> None:
    faulty = Faulty(lambda number: BROKEN if number == 2 else None)
    report = asyncio.run(score_tool_calls(faulty, [CONVERSATION] * 5, concurrency=1)).to_json()
    assert (report["turns"], report["errors"], report["right_share"]) == (4, 1, 1)


def test_a_server_that_refuses_everything_is_asked_no_more_and_its_reason_is_raised() -> None:
    faulty = Faulty(lambda number: BROKEN)
    with pytest.raises(EndpointError, match="no chat completion"):
        asyncio.run(score_tool_calls(faulty, [CONVERSATION] * 50, concurrency=1))
    assert faulty.asked == 16


CONVERSATION: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Is it you?"},
        {"role": "assistant", "content": "No."},
    ]
}


def test_an_unanswered_turn_is_counted_apart_and_no_share_counts_it() -> None:
    faulty = Faulty(lambda number: BUSY if number == 2 else None)
    score = asyncio.run(score_tool_calls(faulty, [CONVERSATION] * 5, concurrency=1))
    report = score.to_json()
    assert (report["turns"], report["errors"], report["right_share"]) == (4, 1, 1)
    assert score.share("right_share").whole == 4


def test_the_other_measures_count_what_was_answered() -> None:
    def second(number: int) -> Exception | None:
        return LOST if number == 2 else None

    weather = asyncio.run(run_weather_loop(Faulty(second), runs=4, concurrency=1))
    assert (weather.runs, weather.errors, len(weather.failures)) == (3, 1, 3)
    scenarios = [s for s in VARIATIONS if s.name in ("among other tools", "two cities at once")]
    first, other = asyncio.run(run_scenarios(Faulty(second), scenarios, runs=2, concurrency=1))
    assert [(s.runs, s.errors, len(s.failures)) for s in (first, other)] == [(1, 1, 1), (2, 0, 2)]
    replies = asyncio.run(ask_everyday(Faulty(second), concurrency=1))
    assert len(replies) == len(QUESTIONS) - 1


def test_a_server_that_answers_nothing_is_an_error_and_is_not_asked_for_ever() -> None:
    faulty = Faulty(lambda number: BUSY)
    with pytest.raises(EngineBusyError, match="queue full"):
        asyncio.run(score_tool_calls(faulty, [CONVERSATION] * 50, concurrency=1))
    assert faulty.asked == 16


def test_nothing_asked_is_nothing_failed() -> None:
    async def never(item: int) -> int:
        raise BUSY

    bounded = map_bounded(never, [], concurrency=1, progress=None, label="")
    assert asyncio.run(bounded) == []

    async def even(item: int) -> int:
        if item % 2:
            raise BUSY
        return item

    bounded = map_bounded(even, range(3), concurrency=1, progress=None, label="")
    assert asyncio.run(bounded) == [0, Unanswered(BUSY), 2]
