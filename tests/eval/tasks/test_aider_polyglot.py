"""Aider-Polyglot from its repository's layout: made-up exercises, two tries, tests that stay."""

import asyncio
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelName, ModelOutput
from inspect_ai.solver import TaskState

from code_answers import best_sandbox, judged, scorer_of
from openk2.environments import Finished, Sandbox, SandboxError
from openk2.eval.code import exercises
from openk2.eval.code.exercises import edits
from openk2.eval.code.place import use_sandbox
from openk2.eval.tasks.aider_polyglot import AIDER_POLYGLOT, two_tries

TEST = """import unittest
from twice import twice

class TwiceTest(unittest.TestCase):
    def test_numbers(self):
        self.assertEqual(twice(2), 4)

    def test_refusal(self):
        with self.assertRaises(ValueError) as told:
            twice(None)
        self.assertEqual(told.exception.args[0], "no number")
"""
RIGHT = (
    "def twice(x):\n    if x is None:\n        raise ValueError('no number')\n    return 2 * x\n"
)
WRONG = [
    "def twice(x):\n    return 2 * x\n",
    "import os\nos._exit(0)\n",
    "raise SystemExit(0)\n",
    "import unittest\nunittest.TestCase.assertEqual = print\ndef twice(x): raise SystemExit(0)\n",
    "open('twice_test.py', 'w').write('')\ndef twice(x): return 0\n",
    "import os\nprint('OK')\nos._exit(0)\n",
    "def twice(x:\n",
]


def exercise(root: Path, language: str, name: str, solution: str, test: str, text: str) -> None:
    folder = root / language / "exercises/practice" / name
    for part in (".docs", ".meta"):
        (folder / part).mkdir(parents=True)
    (folder / ".docs/instructions.md").write_text(f"# Instructions\n\nMake {name}.\n")
    files = {"solution": [solution], "test": [test], "example": [".meta/example"]}
    (folder / ".meta/config.json").write_text(json.dumps({"files": files}))
    (folder / ".meta/example").write_text("the reference solution")
    (folder / solution).parent.mkdir(parents=True, exist_ok=True)
    (folder / solution).write_text("# the stub\n")
    (folder / test).parent.mkdir(parents=True, exist_ok=True)
    (folder / test).write_text(text)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was found out about a language is this test's alone."""
    exercises._UNREADY.clear()
    yield
    exercises._UNREADY.clear()


@pytest.fixture
def samples(tmp_path: Path) -> dict[str, Sample]:
    exercise(tmp_path, "python", "twice", "twice.py", "twice_test.py", TEST)
    exercise(
        tmp_path, "java", "once", "src/main/java/Once.java", "src/test/java/T.java", "class T {}"
    )
    exercise(tmp_path, "javascript", "once", "once.js", "once.spec.js", "")
    exercise(tmp_path, "go", "once", "once.go", "once_test.go", "package once")
    exercise(tmp_path, "rust", "once", "src/lib.rs", "tests/once.rs", "")
    return {str(sample.id): sample for sample in AIDER_POLYGLOT.read(tmp_path)}


def test_the_prompt_shows_the_stub_and_neither_tests_nor_reference(
    samples: dict[str, Sample],
) -> None:
    assert len(samples) == 5
    prompt = str(samples["python/twice"].input)
    assert "Make twice." in prompt
    assert "twice.py\n```\n# the stub\n```" in prompt
    assert "assertEqual" not in prompt
    assert "reference" not in prompt


def test_the_exercises_tests_decide(samples: dict[str, Sample]) -> None:
    scorer = scorer_of(AIDER_POLYGLOT)
    right = judged(scorer, samples["python/twice"], f"twice.py\n```python\n{RIGHT}```")
    assert right.value == 1, right.explanation
    for code in WRONG:
        score = judged(scorer, samples["python/twice"], f"twice.py\n```python\n{code}```")
        assert score.value == 0, code
    changed = f"twice.py\n```\n{WRONG[0]}```\n\ntwice_test.py\n```\nimport unittest\n```"
    assert judged(scorer, samples["python/twice"], changed).value == 0


def test_a_language_that_is_not_here_is_unscored_and_named(samples: dict[str, Sample]) -> None:
    scorer = scorer_of(AIDER_POLYGLOT)
    for name, sample in samples.items():
        score = judged(scorer, sample, "```\nx\n```")
        if name != "python/twice" and math.isnan(float(str(score.value))):
            assert "not found" in str(score.explanation)


@pytest.mark.parametrize(
    ("command", "values"),
    [
        # jest without the preset that every exercise needs
        ("echo Cannot find module @exercism/babel-preset >&2; exit 1", [None, None]),
        # jest with it
        ("[ -e two.js ] || grep -q right once.js && echo 'Tests: 1 passed, 1 total'", [1, 0]),
    ],
)
def test_a_language_whose_runner_alone_is_installed_is_unscored(
    samples: dict[str, Sample],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    values: list[float | None],
) -> None:
    runner = replace(exercises._RUNNERS["javascript"], command=command, needs=("sh",))
    monkeypatch.setitem(exercises._RUNNERS, "javascript", runner)  # type: ignore[arg-type]
    scorer = scorer_of(AIDER_POLYGLOT)
    scores = [
        judged(scorer, samples["javascript/once"], f"```\n{said}\n```")
        for said in ("right", "wrong")
    ]
    assert [None if math.isnan(float(str(s.value))) else s.value for s in scores] == values
    if None in values:
        told = "not run: javascript: a trivial exercise does not pass here: exit code 1: Cannot"
        assert str(scores[0].explanation).startswith(told)


@dataclass(frozen=True)
class Counted:
    """A sandbox that ends every run like this, after a moment. runs: how often it was asked."""

    finished: Finished
    runs: list[int] = field(default_factory=list, compare=False)

    def run(self, *_: object, **__: object) -> Finished:
        self.runs.append(1)
        time.sleep(0.01)
        return self.finished


def told_by(sandbox: Counted, language: str = "go", setup: exercises.Setup = ()) -> str:
    return exercises.unready(cast(Sandbox, sandbox), language, setup)


@pytest.mark.parametrize(
    "finished",
    [Finished(137, b"", b"", timed_out=True), Finished(137, b"", b"", out_of_memory=True)],
)
def test_a_limit_that_ended_the_trivial_exercise_leaves_only_that_answer_unscored(
    finished: Finished,
) -> None:
    stopped = Counted(finished)
    assert "limit" in told_by(stopped)
    assert told_by(stopped)
    assert len(stopped.runs) == 2
    failing = Counted(Finished(1, b"", b"no module"))
    assert told_by(failing) == told_by(failing)
    assert len(failing.runs) == 1


def test_scorers_of_one_language_run_its_trivial_exercise_once() -> None:
    sandbox = Counted(Finished(0, b"ok  two 0.1s\n", b""))
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: told_by(sandbox), range(16))) == {""}
    assert len(sandbox.runs) == 1


@pytest.mark.parametrize(
    ("language", "file", "same", "other"),
    [
        ("go", "go.mod", "module {}\n\ngo 1.18\n", "module {}\n\ngo 1.22\n"),
        (
            "rust",
            "Cargo.toml",
            '[package]\nedition = "2021"\nname = "{}"\nversion = "1.0.{:d}"\n\n[dependencies]\n',
            '[package]\nname = "{}"\n\n[dependencies.rand]\nversion = "0.{:d}"\n',
        ),
        ("java", "settings.gradle", "rootProject.name = '{}'\n", "include '{}'\n"),
    ],
)
def test_exercises_that_differ_in_their_names_alone_share_the_trivial_one(
    language: str, file: str, same: str, other: str
) -> None:
    def setup(text: str, name: str) -> exercises.Setup:
        content = text.format(name, len(name)).encode()
        return exercises._RUNNERS[language].shared_setup({file: content, "other": b""})

    assert setup(same, "bowling") == setup(same, "two-bucket")
    assert setup(same, "bowling") != setup(other, "bowling")
    if language == "rust":
        assert setup(other, "bowling") != setup(other, "two-bucket")


def test_a_crate_that_is_not_here_is_unscored_and_a_trivial_exercise_passes(tmp_path: Path) -> None:
    sandbox = best_sandbox()
    setup = (("Cargo.toml", exercises._RUNNERS["rust"].trivial["Cargo.toml"]),)
    if exercises._RUNNERS["rust"].lacks(sandbox):
        pytest.skip("no cargo")
    assert exercises.unready(sandbox, "rust", setup) == ""
    needy = setup[0][1] + b'[dependencies]\nno-such-crate-here = "1"\n'
    assert "no-such-crate" in exercises.unready(sandbox, "rust", (("Cargo.toml", needy),))


def test_a_trivial_python_exercise_passes() -> None:
    assert exercises.unready(best_sandbox(), "python", ()) == ""


def test_the_second_try_sees_what_the_tests_printed(samples: dict[str, Sample]) -> None:
    sample = samples["python/twice"]
    answers = iter([f"```python\n{WRONG[0]}```", f"```python\n{RIGHT}```"])

    async def generate(state: TaskState, **_: object) -> TaskState:
        answer = next(answers)
        state.messages.append(ChatMessageAssistant(content=answer))
        state.output = ModelOutput.from_content("mockllm/model", answer)
        return state

    state = TaskState(
        model=ModelName("mockllm/model"),
        sample_id="python/twice",
        epoch=1,
        input=sample.input,
        messages=[ChatMessageUser(content=str(sample.input))],
        metadata=dict(sample.metadata or {}),
    )
    try:
        solve = two_tries()
    except SandboxError:
        with use_sandbox("subprocess"):
            solve = two_tries()
    state = asyncio.run(solve(state, generate))  # type: ignore[arg-type]
    assert [message.role for message in state.messages] == ["user", "assistant"] * 2
    assert "test_refusal" in state.messages[2].text
    assert "unsupported operand" in state.messages[2].text
    assert next(answers, None) is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            "a.h\n```cpp\nint a;\n```\na.cpp\n```cpp\nint b;\n```",
            {"a.h": "int a;", "a.cpp": "int b;"},
        ),
        ("**`src/a.h`:**\n\n```\nint a;\n```", {}),
        ("```cpp a.cpp\nint b;\n```", {"a.cpp": "int b;"}),
        ("### `a.cpp`\n```\nint b;\n```\nThat is a.cpp.", {"a.cpp": "int b;"}),
        ("```\nint b;\n```", {}),
        ("a.cpp.orig\n```\n1\n```\nba.h\n```\n2\n```", {}),
    ],
)
def test_files_of_an_answer(answer: str, found: dict[str, str]) -> None:
    assert edits(answer, ("a.h", "a.cpp")) == {k: f"{v}\n".encode() for k, v in found.items()}
