"""LiveCodeBench from its published format: made-up problems, judged by every test."""

import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from code_answers import judged, scorer_of
from openk2.eval.code.contest_tests import private_tests
from openk2.eval.tasks.livecodebench import LIVECODEBENCH, LIVECODEBENCH_BASE
from openk2.record import DataError


def packed(tests: list[dict[str, str]]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


def case(given: str, expected: str, kind: str = "stdin") -> dict[str, str]:
    return {"input": given, "output": expected, "testtype": kind}


def problem(number: int, public: Any, private: Any, **fields: str) -> dict[str, str]:
    return {
        "question_title": f"made up {number}",
        "question_content": f"Question {number}.",
        "platform": "atcoder",
        "question_id": f"made_{number}",
        "contest_id": "made",
        "contest_date": "2024-10-05T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": packed(private),
        "metadata": "{}",
        **fields,
    }


STARTER = "class Solution:\n    def double(self, nums: List[int], k: int) -> List[int]:\n        "
PROBLEMS = [
    problem(0, [case("1 2\n", "3\n")], [case("4 5", "9"), case("-1 1", "0")]),
    problem(1, [case("2", "1.50")], [case("4", "2.50")]),
    problem(
        2,
        [case("[1, 2]\n3", "[3, 6]", "functional")],
        [case("[]\n1", "[]", "functional")],
        starter_code=STARTER,
        metadata=json.dumps({"func_name": "double"}),
    ),
    problem(3, [case("", "yes")], [], private_test_cases=json.dumps([case("", "yes")])),
    problem(6, [case("3 -1 7", "5")], [case("2 5 9", "5")]),
    problem(7, [case("a1", "a 1 3 60.0")], [case("b2", "b 2 3 60.0")]),
    problem(4, [case("a", "b")], [], contest_date="2024-07-31T23:59:59"),
    problem(5, [case("a", "b")], [], contest_date="2025-06-01T00:00:00"),
]
RIGHT = {
    "made_0": "print(sum(map(int, input().split())))",
    "made_1": "import sys\nprint(int(sys.stdin.read()) / 2 + 0.5)",
    "made_2": "class Solution:\n    def double(self, nums: List[int], k: int):\n"
    "        print('noise')\n        return tuple(k * x for x in nums)",
    "made_3": "if __name__ == '__main__':\n    print('yes')\n    exit()",
    # Three arguments are those of the builtin alone, which math and operator have another of.
    "made_6": "print(pow(*map(int, input().split())))",
    # What the published judge imports by name.
    "made_7": "letter, digit = re.fullmatch('(.)(.)', io.StringIO(input()).read()).groups()\n"
    "middle = copy.deepcopy(statistics.median([1, 3, 9]))\nrandom.seed(json.loads('1'))\n"
    "print(letter, digit, middle, datetime.timedelta(minutes=1).total_seconds())",
}
WRONG = {
    "made_0": ["print(3)", "print(1", "while True: pass", "", "import os; os._exit(0)", "1 / 0"],
    "made_1": ["print(1.5)", "print('1.50 ')\nprint()\nprint(2.5)"],
    "made_2": [
        "class Solution:\n    def double(self, nums, k): return nums",
        "class Solution:\n    def double(self, nums, k): return Solution",
        "class Solution:\n    pass",
        "import os\nprint('[3, 6]')\nos._exit(0)",
    ],
    "made_3": ["print('Yes')", "print('no')"],
    "made_6": ["print(math.pow(*map(int, input().split()[:2])))"],
    "made_7": ["print(time.time())"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, part in (("test.jsonl", PROBLEMS[:3]), ("test6.jsonl", PROBLEMS[3:])):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in part))
    return tmp_path


def test_the_window_is_read_and_every_test_decides(folder: Path) -> None:
    samples = {sample.id: sample for sample in LIVECODEBENCH.read(folder)}
    assert set(samples) == set(RIGHT)
    scorer = scorer_of(LIVECODEBENCH)
    for name, code in RIGHT.items():
        answer = f"Thinking.\n```python\nprint('an example')\n```\n```python\n{code}\n```"
        score = judged(scorer, samples[name], answer)
        assert score.value == 1, (name, score.explanation)
    for name, codes in WRONG.items():
        for code in codes:
            score = judged(scorer, samples[name], f"```python\n{code}\n```")
            assert score.value == 0, (name, code)


def test_a_base_model_continues_after_one_example(folder: Path) -> None:
    samples = {sample.id: sample for sample in LIVECODEBENCH_BASE.read(folder)}
    assert str(samples["made_0"].input).count("### Problem") == 2
    assert "### Starter code" not in str(samples["made_0"].input)
    assert str(samples["made_2"].input).count("### Starter code") == 2
    assert str(samples["made_2"].input).endswith("### Python solution\n")
    scorer = scorer_of(LIVECODEBENCH_BASE)
    continued = RIGHT["made_0"] + "\n\n### Problem\nAnother one (("
    assert judged(scorer, samples["made_0"], continued).value == 1
    assert judged(scorer, samples["made_0"], "print(3)").value == 0


class Hostile:
    def __reduce__(self) -> Any:
        return print, ("a pickle of code was run",)


@pytest.mark.parametrize("thing", [Hostile(), [Hostile()], print, b"bytes", ["[]"], 3])
def test_only_text_comes_out_of_a_pickle(thing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    text = base64.b64encode(zlib.compress(pickle.dumps(thing))).decode()
    with pytest.raises(ValueError, match="private tests"):
        private_tests(text)
    assert capsys.readouterr().out == ""


def test_a_broken_file_is_refused_by_line(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text(json.dumps(PROBLEMS[0]) + "\n{}\n")
    with pytest.raises(DataError, match=r"test\.jsonl:2"):
        LIVECODEBENCH.read(tmp_path)
