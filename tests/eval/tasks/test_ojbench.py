"""OJBench from its published format: made-up problems in DMOJ's layout."""

import json
import math
import shutil
import zipfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from inspect_ai.scorer import Score

from code_answers import judged, scorer_of
from openk2.eval.code.dmoj_checkers import checker
from openk2.eval.code.judged_output import Case
from openk2.eval.tasks.ojbench import OJBENCH, open_problem
from openk2.record import DataError

CASES = (
    "test_cases:\n- {in: 1.in, out: 1.out, points: 50}\n- batched:\n  - {in: 2.in, out: 2.out}\n"
)
CPP = "#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b; }"
PYTHON = "def main():\n    print(sum(map(int, input().split())))"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = []
    for dataset, name, number in (("NOI", "loj-7", 7), ("ICPC", "made_A", "made_A")):
        problem = tmp_path / dataset / name
        problem.mkdir(parents=True)
        (problem / "init.yml").write_text(CASES)
        for test, (a, b) in {"1": (1, 2), "2": (-4, 10**12)}.items():
            (problem / f"{test}.in").write_text(f"{a} {b}\n")
            (problem / f"{test}.out").write_text(f"{a + b}  \n\n")
        for language in ("cpp", "python"):
            rows.append(
                {"id": number, "prompt": f"Add ({language}).", "dataset": dataset}
                | {"language": language, "difficulty": "easy"}
            )
    rows.append(dict(rows[-1], id="nwerc2023_H"))
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/full.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_every_problem_is_asked_in_both_languages_and_judged(folder: Path) -> None:
    samples = {str(sample.id): sample for sample in OJBENCH.read(folder)}
    names = {"cpp/loj-7", "python/loj-7", "cpp/made_A", "python/made_A"}
    assert set(samples) == names
    scorer = scorer_of(OJBENCH)
    for name in ("cpp/loj-7", "python/made_A"):
        language = name.partition("/")[0]
        code = CPP if language == "cpp" else PYTHON
        right = judged(scorer, samples[name], f"So:\n```{language}\n{code}\n```")
        if language == "cpp" and right.explanation and "not run" in right.explanation:
            continue
        assert right.value == 1, right.explanation
        for wrong in (code.replace("+ b", "- b").replace("sum", "max"), "print(3)", ""):
            assert judged(scorer, samples[name], f"```{language}\n{wrong}\n```").value == 0


def test_all_that_a_problem_needs_is_downloaded() -> None:
    for name in ("NOI/loj-7/init.yml", "NOI/loj-7/7.in", "ICPC/a/data/1.out", "ICPC/a/check.cpp"):
        # The hub's client matches patterns in this way.
        assert any(fnmatch(name, pattern) for pattern in OJBENCH.source.files), name


def test_tests_may_lie_in_an_archive(folder: Path) -> None:
    problem = folder / "ICPC/made_A"
    with zipfile.ZipFile(problem / "all.zip", "w") as archive:
        for path in problem.glob("[12].*"):
            archive.write(path, path.name)
            path.unlink()
    (problem / "init.yml").write_text("archive: all.zip\n" + CASES)
    sample = next(s for s in OJBENCH.read(folder) if s.id == "python/made_A")
    assert judged(scorer_of(OJBENCH), sample, f"```python\n{PYTHON}\n```").value == 1


# Right is any other way to write the sum; the answer file has one.
OTHER_WAY = """
#include "parts.h"
int main(int, char** argv) {
  std::ifstream in(argv[1]), out(argv[2]), answer(argv[3]);
  long a, b, x, y, sum;
  in >> a >> b;
  answer >> sum;
  if (!(out >> x >> y)) return 2;
  return x + y == sum && sum == a + b ? 0 : 1;
}
"""
SUM = "a, b = map(int, input().split())\nprint({})"


def scored(folder: Path, code: str) -> Score:
    sample = next(s for s in OJBENCH.read(folder) if s.id == "python/made_A")
    return judged(scorer_of(OJBENCH), sample, f"```python\n{code}\n```")


def test_a_published_checker_decides_in_the_sandbox(folder: Path) -> None:
    problem = folder / "ICPC/made_A"
    (problem / "check.cpp").write_text(OTHER_WAY)
    (problem / "parts.h").write_text("#include <fstream>\n")
    named = "checker: {name: bridged, args: {files: [check.cpp, parts.h], type: testlib}}"
    (problem / "init.yml").write_text(CASES + named)
    right = scored(folder, SUM.format("a + b - 1, 1"))
    if right.explanation and "not found" in right.explanation:
        pytest.skip(right.explanation)
    assert right.value == 1, right.explanation
    for wrong in ("a + b, 1", "a + b", "'x'"):
        assert scored(folder, SUM.format(wrong)).value == 0, wrong
    (problem / "check.cpp").write_text("no program")
    score = scored(folder, SUM.format("a + b, 0"))
    assert isinstance(score.value, float)
    assert math.isnan(score.value)
    assert "does not compile" in str(score.explanation)


@pytest.mark.parametrize(
    ("wanted", "said", "right"),
    [
        (None, " 1 2\n\n3", True),
        (None, "1 2 3\n", False),  # lines matter
        ("identical", "1 2\n3\n", True),
        ("identical", "1 2 \n3\n", False),
        ("sorted", "3\n1 2\n", True),
        ("sorted", "3\n2 1\n", False),
        ("unordered", "2 1 3", True),
        ("floats", "1.0000001 2\n3", True),
        ("floats", "1.001 2\n3", False),
        ({"name": "floats", "args": {"precision": 2}}, "1.001 2\n3", True),
        ({"name": "floatsabs", "args": {"precision": 1}}, "1 2\n3.2", False),
        ({"name": "floatsrel", "args": {"precision": 1}}, "1 2\n3.2", True),
        ("floats", "nan 2\n3", False),
        ("rstripped", "1 2  \n3\n", True),
        ("rstripped", "1  2\n3\n", False),
    ],
)
def test_a_checker_of_dmojs_own(wanted: Any, said: str, right: bool) -> None:
    unused: Any = None
    check = checker(unused, Path(), wanted)
    assert check(Case("", "1 2\n3\n"), said) is right


@pytest.mark.parametrize(
    "more",
    [
        "checker: {name: bridged, args: {files: c.py}}",
        "checker: check.py",
        "interactive: {files: i.cpp}",
    ],
)
def test_a_problem_with_a_judge_of_its_own_is_unscored(folder: Path, more: str) -> None:
    (folder / "ICPC/made_A/init.yml").write_text(CASES + more)
    sample = next(s for s in OJBENCH.read(folder) if s.id == "python/made_A")
    score = judged(scorer_of(OJBENCH), sample, f"```python\n{PYTHON}\n```")
    assert isinstance(score.value, float)
    assert math.isnan(score.value)
    assert "own judge" in str(score.explanation)


def test_broken_problems_are_refused(folder: Path) -> None:
    (folder / "ICPC/made_A/init.yml").write_text("- 1")
    with pytest.raises(DataError, match=r"init\.yml"):
        open_problem(folder / "ICPC/made_A")
    shutil.rmtree(folder / "ICPC/made_A")
    with pytest.raises(DataError, match="made_A"):
        open_problem(folder / "ICPC/made_A")
