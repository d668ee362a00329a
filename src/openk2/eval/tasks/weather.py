"""The README's weather loop and ten variations of it: openk2's own measure.

Home: the tool-calling example of https://github.com/MoonshotAI/Kimi-K2. Protocol: chat with tools,
whose results are made up here; temperature 0.6, 256 tokens an answer, Avg@10. Metric: the share of
conversations in which the right calls are made, no other, and the last answer says what it must;
each of the eleven counts the same. No judge, no data.
"""

from collections.abc import Mapping
from pathlib import Path

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.eval.agents.asked_chat import AskedChat
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.scenario import Scenario, Step, first_failure
from openk2.eval.weather_loop import MESSAGES, RESULT, TOOLS
from openk2.eval.weather_variations import VARIATIONS

MAX_TOKENS = 256
README = Scenario(
    "the README's",
    TOOLS,
    {"Beijing": RESULT},
    (
        Step(
            MESSAGES[1]["content"],
            calls=(("get_weather", {"city": "Beijing"}),),
            says=("sunny",),
        ),
    ),
    system=MESSAGES[0]["content"],
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in (README, *VARIATIONS)}


def read_samples(folder: Path) -> list[Sample]:
    """A sample for each conversation."""
    return [
        Sample(
            id=name.replace(" ", "-"),
            input=scenario.steps[0].user,
            target="; ".join(str(call) for step in scenario.steps for call in step.calls),
            metadata={"scenario": name},
        )
        for name, scenario in SCENARIOS.items()
    ]


@solver
def run_scenario() -> Solver:
    """Hold the conversation; what went wrong in it goes to the metadata."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        chat = AskedChat(state)
        failure = await first_failure(chat, SCENARIOS[state.metadata["scenario"]])
        state.metadata["failure"] = failure
        return state

    return solve


@scorer(metrics=[mean()])
def succeeded() -> Scorer:
    """1 for a conversation that went as it should."""

    async def score(state: TaskState, target: Target) -> Score:
        failure = state.metadata["failure"]
        return Score(value=float(failure is None), answer=failure or state.output.completion)

    return score


WEATHER = Benchmark(
    name="weather",
    title="The README's weather loop",
    paper="https://github.com/MoonshotAI/Kimi-K2",
    protocol=Protocol(metric="Avg@10", samples=10, max_tokens=MAX_TOKENS),
    source=DataHome(folder="", files=(), obtain="it is part of openk2", package="openk2.eval:"),
    read=read_samples,
    scorer=succeeded,
    solver=run_scenario,
)
