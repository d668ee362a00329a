"""EvalPlus from its published formats: original tests and plus tests are kept apart."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from code_answers import judged, scorer_of
from openk2.environments import SandboxError
from openk2.eval.code.place import chosen_sandbox, has_numpy
from openk2.eval.code.python_tests import run_python_tests
from openk2.eval.tasks.evalplus import EVALPLUS_BASE
from openk2.record import DataError
from record_files import parquet

PROMPT = 'def largest(values):\n    """The largest of values, 0 for none."""\n'
BODY = "    return max(values, default=0)\n"
CHECK = "def check(candidate):\n    assert candidate([1, 3, 2]) == 3\n"
PLUS = (
    "def check(candidate):\n    for given, expected in [([], 0), ([-2, -1], -1)]:\n"
    "        assert candidate(given) == expected\n"
)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


HUMAN = {
    "task_id": "HumanEval/7",
    "prompt": PROMPT,
    "entry_point": "largest",
    "canonical_solution": BODY,
}
INPUTS = {"base_input": [[[1, 3, 2]]], "plus_input": [[[]], [[-2, -1]]], "atol": 0}
MBPP = {
    "task_id": 11,
    "prompt": "Write a function to find the largest value.",
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "code": PROMPT + BODY,
    "test_imports": ["import math"],
    "test_list": ["assert largest([1, 3, 2]) == math.floor(3.5)"],
    "test": PLUS + "check(largest)\n",
}


@pytest.fixture(params=["hub", "release"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """HumanEval+ as on the hub, in its folders, or as EvalPlus's release."""
    parquet(tmp_path / "mbppplus/data/test-00000-of-00001-d5781c9c51e02795.parquet", [MBPP])
    if request.param == "release":
        write(tmp_path / "HumanEvalPlus-v0.1.10.jsonl.gz", [HUMAN | INPUTS | {"contract": ""}])
        return tmp_path
    original = tmp_path / "openai_humaneval/openai_humaneval/test-00000-of-00001.parquet"
    parquet(original, [HUMAN | {"test": CHECK}])
    plus = tmp_path / "humanevalplus/data/test-00000-of-00001-5973903632b82d40.parquet"
    parquet(plus, [HUMAN | {"test": PLUS}])
    return tmp_path


def test_each_problem_counts_in_its_two_groups(folder: Path) -> None:
    samples = {str(sample.id): sample for sample in EVALPLUS_BASE.read(folder)}
    assert set(samples) == {"humaneval/7", "mbpp/11"}
    scorer = scorer_of(EVALPLUS_BASE)
    partly = "    return max(values)\n"
    wrong = "    return 0 if len(values) == 3 else max(values, default=0)\n"
    for body, base, plus in ((BODY, 1, 1), (partly, 1, 0), (wrong, 0, 0), ("    exit(0)\n", 0, 0)):
        after = "\nprint(largest([1]))\nassert ((\n"
        score = judged(scorer, samples["humaneval/7"], body + "\ndef other(:" + after)
        assert score.metadata == {"groups": {"humaneval": base, "humaneval-plus": plus}}, body
        assert score.value == (base + plus) / 2
        score = judged(scorer, samples["mbpp/11"], "import math\n" + PROMPT + body + after)
        assert score.metadata == {"groups": {"mbpp": base, "mbpp-plus": plus}}, body


@pytest.mark.parametrize(("root", "right"), [("-1.0", 1), ("2.0", 1), ("1.9", 0)])
def test_any_root_of_find_zeros_polynomial_is_right(tmp_path: Path, root: str, right: int) -> None:
    named = HUMAN | {"task_id": "HumanEval/32", "entry_point": "find_zero", "atol": 1e-4}
    named |= {"prompt": "def find_zero(xs):\n", "canonical_solution": "    return -1.0\n"}
    inputs = {"base_input": [[[-2, -1, 1]]], "plus_input": [[[-2, -1, 1]]]}
    write(tmp_path / "HumanEvalPlus.jsonl", [named | inputs])
    (sample,) = EVALPLUS_BASE.read(tmp_path)
    assert judged(scorer_of(EVALPLUS_BASE), sample, f"    return {root}\n").value == right


def test_mbpps_release_is_refused_for_its_lost_types(tmp_path: Path) -> None:
    released = {"task_id": "Mbpp/11", "entry_point": "largest", "prompt": "", **INPUTS}
    write(tmp_path / "MbppPlus.jsonl.gz", [released])
    with pytest.raises(DataError, match="evalplus/mbppplus"):
        EVALPLUS_BASE.read(tmp_path)


def test_the_plus_sets_numpy_is_found() -> None:
    try:
        sandbox = chosen_sandbox()
    except SandboxError as error:
        pytest.skip(str(error))
    if not has_numpy(sandbox):
        pytest.skip("the sandbox's python3 is of another version than ours")
    tests = "import numpy\nassert numpy.allclose(f(2), [0.0, 1.0])"
    for last, passed in ((1, True), (2, False)):
        solution = f"def f(n): return [0, {last}]"
        result = run_python_tests(sandbox, solution=solution, tests=tests, names=["f"])
        assert result.passed is passed, result.reason


@pytest.mark.parametrize("folder", ["release"], indirect=True)
def test_the_reference_solution_is_not_the_answer(folder: Path) -> None:
    samples = {str(sample.id): sample for sample in EVALPLUS_BASE.read(folder)}
    score = judged(scorer_of(EVALPLUS_BASE), samples["mbpp/11"], "import math\n")
    assert score.value == 0


def test_a_recursive_reference_calls_itself(tmp_path: Path) -> None:
    prompt, body = "def total(n):\n", "    return n + total(n - 1) if n else 0\n"
    row = {"task_id": "HumanEval/1", "prompt": prompt, "entry_point": "total", "atol": 0}
    row |= {"canonical_solution": body, "base_input": [[1]], "plus_input": [[2]]}
    write(tmp_path / "HumanEvalPlus.jsonl", [row])
    (sample,) = EVALPLUS_BASE.read(tmp_path)
    scorer = scorer_of(EVALPLUS_BASE)
    # total(1) is 1: a reference that called this answer for total(0) would find 2 as well.
    assert judged(scorer, sample, "    return n + 1 if n else 1\n").value == 0
    assert judged(scorer, sample, body).value == 1
