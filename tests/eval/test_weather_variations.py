"""Each variation succeeds for a model that does what is right, and fails for every other."""

import asyncio
import json

import pytest

from openk2.chat import ToolCall
from openk2.eval.scenario import Scenario, ScenarioScore, run_scenarios
from openk2.eval.weather_variations import VARIATIONS
from openk2.generation import ChatAnswer, ScriptedChat

BY_NAME = {scenario.name: scenario for scenario in VARIATIONS}
RIGHT_WORDS = {
    "another tool name": ["It is foggy in Oslo."],
    "a unit besides": ["It is clear in Cairo, with 31 degrees."],
    "two tools, the other needed": ["It is 21:40 in Tokyo."],
    "among other tools": ["It is cloudy in Rome."],
    "two cities at once": ["It is snowy in Paris. It is cloudy in Rome."],
    "the city missing": ["What is the city?", "It is windy in Madrid."],
    "the tool fails": ["I could not get the weather: the service is unavailable."],
    "no tool declared": ["I'm sorry, I have no tool that can get the weather."],
    "only other tools": ["I'm sorry, I have no tool that can get the weather."],
    "another city after": ["It is sunny in Beijing.", "It is rainy in London."],
}


def calling(*calls: tuple[str, dict[str, str]]) -> ChatAnswer:
    made = tuple(ToolCall(f"functions.{n}:{i}", n, json.dumps(a))
                 for i, (n, a) in enumerate(calls))  # fmt: skip
    return ChatAnswer("", made, "tool_calls")


def right_answers(scenario: Scenario) -> list[str | ChatAnswer]:
    """What a model that is right does, step by step."""
    answers: list[str | ChatAnswer] = []
    for step, words in zip(scenario.steps, RIGHT_WORDS[scenario.name], strict=True):
        answers += [calling(*step.calls)] if step.calls else []
        answers.append(words)
    return answers


def run(scenario: Scenario, *answers: str | ChatAnswer) -> tuple[ScenarioScore, ScriptedChat]:
    chat = ScriptedChat(answers)
    (score,) = asyncio.run(run_scenarios(chat, [scenario], runs=1))
    return score, chat


def test_there_are_ten() -> None:
    assert len(BY_NAME) == len(VARIATIONS) == 10


@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_right_succeeds_and_the_declared_tools_are_sent(name: str) -> None:
    scenario = BY_NAME[name]
    score, chat = run(scenario, *right_answers(scenario))
    assert (score.succeeded, score.failures) == (1, ())
    assert all(request.tools == scenario.tools for request in chat.requests)
    results = [m for m in chat.requests[-1].messages if m["role"] == "tool"]
    assert len(results) == sum(len(step.calls) for step in scenario.steps)
    assert all("no data" not in message["content"] for message in results)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_readmes_answer_by_heart_fails_every_variation(name: str) -> None:
    by_heart = [calling(("get_weather", {"city": "Beijing"})), "It is sunny in Beijing."]
    if name == "another city after":  # whose first step is the README's own
        by_heart *= 2
    score, _ = run(BY_NAME[name], *by_heart)
    assert score.succeeded == 0
    assert "get_weather" in score.failures[0]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_needless_call_more_fails(name: str) -> None:
    scenario = BY_NAME[name]
    needless = calling(("get_weather", {"city": "Lima"}))
    score, _ = run(scenario, needless, *right_answers(scenario))
    assert score.succeeded == 0


@pytest.mark.parametrize("name", BY_NAME)
def test_words_that_are_cut_off_fail(name: str) -> None:
    scenario = BY_NAME[name]
    *before, last = right_answers(scenario)
    assert isinstance(last, str)
    score, _ = run(scenario, *before, ChatAnswer(last, finish_reason="length"))
    assert score.succeeded == 0
    assert score.failures[0].endswith("(cut off)")


def test_weather_that_is_made_up_fails_where_there_is_none_to_tell() -> None:
    for name in ("the tool fails", "no tool declared", "only other tools", "the city missing"):
        scenario = BY_NAME[name]
        answers = right_answers(scenario)
        answers = ["It is sunny there." if isinstance(a, str) else a for a in answers]
        assert run(scenario, *answers)[0].succeeded == 0


def test_runs_of_each_are_counted_apart() -> None:
    chat = ScriptedChat(["I cannot do that."] * 20)
    scores = asyncio.run(
        run_scenarios(chat, [BY_NAME["no tool declared"], BY_NAME["among other tools"]], runs=3)
    )
    assert [(score.runs, score.succeeded) for score in scores] == [(3, 3), (3, 0)]
