"""Aider-Polyglot: 225 of Exercism's exercises in six languages, two tries each.

Home: https://github.com/Aider-AI/polyglot-benchmark. Protocol: accuracy after two tries; the
second sees what the tests printed (aider's pass rate 2). Chat, temperature 0.6, 8,192 tokens a try.

Prompt: the exercise's instructions and solution files, and the request for whole files. The wording
is ours; the benchmark's own harness also offers edit formats. Extraction: a fenced block for each
file, after a line with its name. Metric: the exercise's tests pass, with every skipped test
switched on. A language whose compiler or test runner is not found, or in which a trivial exercise
with the exercise's own configuration does not pass here, is unscored, never wrong.
"""

from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.environments import Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.exercises import LANGUAGES, Exercise, edits, open_exercise, run_exercise
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.record import DataError

TRIES = 2
_PROMPT = """{instructions}

# Your task

Make the tests of this {language} exercise pass by completing {files}. Keep the names of functions
and classes, use the standard library only, and do not change tests. For each file, write a line
with its name and then one fenced block with the whole new file.

{stubs}"""
_AGAIN = """The tests do not pass. They are right, and your code is to be fixed. They printed:

```
{output}
```

Write the whole of {files} again, in the same form."""


def read(folder: Path) -> list[Sample]:
    """One sample for each exercise of the six languages."""
    samples = []
    for language in LANGUAGES:
        for path in sorted((folder / language / "exercises/practice").glob("*/")):
            exercise = open_exercise(path, language)
            samples.append(
                Sample(
                    id=f"{language}/{path.name}",
                    input=_prompt(exercise),
                    metadata={"folder": str(path), "language": language},
                )
            )
    if not samples:
        raise DataError(f"{folder}: no LANGUAGE/exercises/practice/NAME; clone polyglot-benchmark")
    return samples


def _prompt(exercise: Exercise) -> str:
    stubs = "\n\n".join(
        f"{name}\n```\n{exercise.stub(name).rstrip()}\n```" for name in exercise.solution
    )
    return _PROMPT.format(
        instructions=exercise.instructions,
        language=exercise.language,
        files=", ".join(exercise.solution),
        stubs=stubs,
    )


def judge(sandbox: Sandbox, metadata: dict[str, Any], answers: list[str]) -> Judgement:
    """Whether the tests pass with the files of all answers so far, later ones over earlier ones."""
    exercise = open_exercise(Path(metadata["folder"]), metadata["language"])
    edited: dict[str, bytes] = {}
    for answer in answers:
        edited |= edits(answer, exercise.solution)
    return run_exercise(sandbox, exercise, edited)


def _answers(state: TaskState) -> list[str]:
    said = [message.text for message in state.messages if message.role == "assistant"]
    # A state without a conversation holds its only answer in its output.
    return said or [state.output.completion]


@solver
def two_tries() -> Solver:
    """Ask; if the tests fail, show what they printed and ask once more."""
    sandbox = chosen_sandbox()

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state = await generate(state)
        for _ in range(TRIES - 1):
            verdict = await run_aside(partial(judge, sandbox, state.metadata, _answers(state)))
            if verdict.passed or verdict.missing:
                return state
            exercise = open_exercise(Path(state.metadata["folder"]), state.metadata["language"])
            output = verdict.details.get("output") or verdict.reason
            again = _AGAIN.format(output=output, files=", ".join(exercise.solution))
            state.messages.append(ChatMessageUser(content=again))
            state = await generate(state)
        return state

    return solve


@scorer(metrics=[mean()])
def passes_tests() -> Scorer:
    """1 if the tests pass after the last try."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        answers = _answers(state)
        verdict = await run_aside(partial(judge, sandbox, state.metadata, answers))
        return verdict.score(answers[-1], tries=len(answers))

    return score


AIDER_POLYGLOT = Benchmark(
    name="aider-polyglot",
    title="Aider-Polyglot",
    paper="https://github.com/Aider-AI/polyglot-benchmark",
    protocol=Protocol(metric="Acc", runs_code=LANGUAGES),
    source=DataHome(
        folder="aider-polyglot",
        files=("*/exercises/practice/*/.meta/config.json",),
        obtain="GitHub Aider-AI/polyglot-benchmark, the whole repository",
    ),
    read=read,
    scorer=passes_tests,
    solver=two_tries,
)
