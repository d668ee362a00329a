"""`Scenario`: a short conversation with tools, and what must be called and said at each step."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.progress import Progress

from openk2.chat import ToolCall
from openk2.eval.crowd import Unanswered, map_bounded
from openk2.eval.tool_loop import is_final, tool_loop, transcript
from openk2.eval.verdict import canonical, canonical_arguments
from openk2.generation import ChatAnswer, ChatGenerator

Call = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Step:
    """What the user says, the calls that must follow, and what the last answer must say.

    calls: each once, in any order, and no other. says: regular expressions, all of which are found
    in the text; never: one that is not. Case does not count.
    """

    user: str
    calls: tuple[Call, ...] = ()
    says: tuple[str, ...] = (r"\w",)
    never: str | None = None


@dataclass(frozen=True)
class Scenario:
    """A named conversation.

    system: the system message, "" for none.
    results: the content of a call's result by the value of its arguments that occurs in it, such as
    a city; a call with none of them gets an error.
    """

    name: str
    tools: tuple[dict[str, Any], ...]
    results: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    system: str = ""

    def result(self, call: ToolCall) -> str:
        """What the tool answers."""
        for key, value in self.results.items():
            if key in call.arguments:
                return json.dumps(value)
        return json.dumps({"error": f"no data for {call.arguments}"})


@dataclass(frozen=True)
class ScenarioScore:
    """How many runs ended as they should, and the transcripts of those that did not.

    errors: further runs, in which the server did not answer.
    """

    name: str
    runs: int
    succeeded: int
    failures: tuple[str, ...]
    errors: int = 0


async def run_scenarios(
    generator: ChatGenerator,
    scenarios: Sequence[Scenario],
    *,
    runs: int = 10,
    temperature: float = 0.6,
    max_tokens: int = 256,
    concurrency: int = 8,
    progress: Progress | None = None,
) -> list[ScenarioScore]:
    """Run each scenario `runs` times, unseeded, all steps of a run one after another.

    concurrency: runs in flight at most. Raises what the generator raises.
    """

    async def run(scenario: Scenario) -> str | None:
        return await first_failure(generator, scenario, temperature, max_tokens)

    jobs = [scenario for scenario in scenarios for _ in range(runs)]
    ended = await map_bounded(
        run, jobs, concurrency=concurrency, progress=progress, label="scenarios"
    )
    scores = []
    for number, scenario in enumerate(scenarios):
        of_it = ended[number * runs : (number + 1) * runs]
        finished = [failure for failure in of_it if not isinstance(failure, Unanswered)]
        found = tuple(failure for failure in finished if failure is not None)
        counts = len(finished), len(finished) - len(found)
        scores.append(ScenarioScore(scenario.name, *counts, found, runs - len(finished)))
    return scores


async def first_failure(
    generator: ChatGenerator,
    scenario: Scenario,
    temperature: float = 0.6,
    max_tokens: int = 256,
) -> str | None:
    """The transcript of the first step that went wrong; None if none did."""
    system = {"role": "system", "content": scenario.system}
    messages: list[dict[str, Any]] = [system] if scenario.system else []
    for step in scenario.steps:
        messages.append({"role": "user", "content": step.user})
        answers = await tool_loop(
            generator, messages, scenario.tools, scenario.result,
            max_rounds=len(step.calls) + 2, temperature=temperature, max_tokens=max_tokens,
        )  # fmt: skip
        if not satisfies(step, answers):
            return f"{step.user} -> {transcript(answers)}"
    return None


def satisfies(step: Step, answers: Sequence[ChatAnswer]) -> bool:
    """Whether the answers make the step's calls and no other, and the last says what it must."""
    made = sorted((c.name, canonical_arguments(c)) for answer in answers for c in answer.tool_calls)
    needed = sorted((name, canonical(arguments)) for name, arguments in step.calls)
    last = answers[-1]
    if made != needed or not is_final(last):
        return False
    if step.never and re.search(step.never, last.content, re.IGNORECASE):
        return False
    return all(re.search(said, last.content, re.IGNORECASE) for said in step.says)
