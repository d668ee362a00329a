"""The README loop succeeds for the right reason only."""

import asyncio

import pytest

from openk2.chat import ToolCall
from openk2.eval.weather_loop import WeatherScore, run_weather_loop
from openk2.generation import ChatAnswer, ScriptedChat


def call(arguments: str = '{"city": "Beijing"}', name: str = "get_weather") -> ChatAnswer:
    return ChatAnswer("", (ToolCall(f"functions.{name}:0", name, arguments),), "tool_calls", 1, 1)


def run(*answers: str | ChatAnswer) -> tuple[WeatherScore, ScriptedChat]:
    chat = ScriptedChat(answers)
    return asyncio.run(run_weather_loop(chat, runs=1)), chat


def test_a_call_for_beijing_and_a_sunny_sentence_succeed() -> None:
    score, chat = run(call(), "It is SUNNY in Beijing.")
    assert (score.called, score.said, score.succeeded, score.failures) == (1, 1, 1, ())
    assert chat.requests[1].messages[-1] == {
        "role": "tool",
        "tool_call_id": "functions.get_weather:0",
        "name": "get_weather",
        "content": '{"weather": "Sunny"}',
    }


@pytest.mark.parametrize(
    "answers",
    [
        ["It is sunny in Beijing."],
        [call('{"city": "Nanjing"}'), "It is sunny."],
        [call('{"city": "Beijing", "day": 1}'), "It is sunny."],
        [call('{"city": '), "It is sunny."],
        [call(name="get_time"), "It is sunny."],
        [call(), "It is raining in Beijing."],
        [call(), call(), call()],
        [call(), ChatAnswer("It is sunny, and", finish_reason="length")],
    ],
)
def test_anything_else_fails_and_leaves_its_transcript(answers: list[str | ChatAnswer]) -> None:
    score, _ = run(*answers)
    assert score.succeeded == 0
    assert len(score.failures) == 1


def test_the_loop_stops_after_three_rounds_and_is_unseeded_at_the_readmes_temperature() -> None:
    _, chat = run(call(), call(), call(), "never asked for")
    assert len(chat.requests) == 3
    assert {request.temperature for request in chat.requests} == {0.6}
    assert {request.seed for request in chat.requests} == {None}
