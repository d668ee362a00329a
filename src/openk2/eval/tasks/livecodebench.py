"""LiveCodeBench v6, August 2024 to May 2025: contest problems, by execution.

Paper: https://arxiv.org/abs/2403.07974. Protocol: pass@1 on release v6's problems from contests
between 2024-08-01 and 2025-05-31 (the README's window). Chat: zero-shot, temperature 0.6, 8,192
tokens. Base: one worked example before a bare prompt, greedy, 8,192 tokens.

Prompt: the published question, then how the program is to be written: from stdin to stdout, or a
method of the starter code; the wording is ours. Extraction: the last Python block (of base models,
the completion up to the next question). Metric: every public and private test passes: outputs are
compared line by line, numbers as decimals; returned values as JSON. Six seconds a test, as the
published judge. Tests of a problem can have megabytes: samples hold where they lie.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.environments import Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.contest_tests import judge_by_tests
from openk2.eval.code.extraction import cut_at, extract_code
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.records import Record, find
from openk2.record import DataError

FIRST, LAST = "2024-08-01", "2025-05-31"
_STDIN = "The program reads the input from stdin and writes the answer to stdout, nothing else."
_METHOD = "Complete this starter code:\n\n```python\n{starter}\n```"
_PROMPT = """{question}

Write a correct Python program for this problem. {how}

Think as you need to, then give the whole program in one ```python block at the end."""
_BASE = "### Problem\n{question}\n\n{starter}### Python solution\n{answer}"
_EXAMPLES = {
    False: _BASE.format(
        question="You are given an integer N and then N integers. Print their sum.\n\n"
        "Sample Input\n3\n1 2 3\n\nSample Output\n6",
        starter="",
        answer="n = int(input())\nprint(sum(map(int, input().split())))\n\n",
    ),
    True: _BASE.format(
        question="Given an integer array nums, return the number of its even elements.\n\n"
        "Input: nums = [1,2,4]\nOutput: 2",
        starter="### Starter code\n"
        "class Solution:\n    def countEven(self, nums: List[int]) -> int:\n\n",
        answer="class Solution:\n    def countEven(self, nums: List[int]) -> int:\n"
        "        return sum(1 for value in nums if value % 2 == 0)\n\n",
    ),
}


def read(folder: Path, *, base: bool = False) -> list[Sample]:
    """One sample for each problem of the window; its tests are read when an answer is judged."""
    samples = []
    for path in find(folder, "test*.jsonl"):
        with path.open("rb") as file:
            offset = 0
            for number, line in enumerate(file, 1):
                problem = _problem(line, f"{path}:{number}")
                if problem is not None:
                    samples.append(_sample(problem, path, offset, base))
                offset += len(line)
    return samples


def _problem(line: bytes, place: str) -> dict[str, Any] | None:
    try:
        problem = json.loads(line)
        date = problem["contest_date"][:10]
        if not FIRST <= date <= LAST:
            return None
        for name in ("question_id", "question_content", "public_test_cases", "private_test_cases"):
            if not isinstance(problem[name], str):
                raise KeyError(name)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place}: not a problem of LiveCodeBench: {error!r}") from None
    return dict(problem)


def _sample(problem: dict[str, Any], path: Path, offset: int, base: bool) -> Sample:
    question, starter = problem["question_content"].strip(), problem.get("starter_code") or ""
    if base:
        shown = f"### Starter code\n{starter}\n\n" if starter else ""
        asked = _BASE.format(question=question, starter=shown, answer="")
        prompt = _EXAMPLES[bool(starter)] + asked
    else:
        how = _METHOD.format(starter=starter.rstrip()) if starter else _STDIN
        prompt = _PROMPT.format(question=question, how=how)
    return Sample(
        id=problem["question_id"],
        input=prompt,
        metadata={
            "question": question,
            "file": str(path),
            "offset": offset,
            "difficulty": problem.get("difficulty", ""),
            "date": problem["contest_date"][:10],
        },
    )


def judge(sandbox: Sandbox, metadata: dict[str, Any], code: str) -> Judgement:
    """Whether `code` passes all tests of the problem. Raises DataError for a broken file."""
    place = f"{metadata['file']} at byte {metadata['offset']}"
    with open(metadata["file"], "rb") as file:
        file.seek(metadata["offset"])
        problem = json.loads(file.readline())
    return judge_by_tests(sandbox, Record(problem, place), problem.get("metadata") or "{}", code)


@scorer(metrics=[mean()])
def passes_all(base: bool = False) -> Scorer:
    """1 for a program that passes every test."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        code = cut_at(answer, ("\n### ",)) if base else extract_code(answer, "python")
        verdict = await run_aside(partial(judge, sandbox, state.metadata, code))
        return verdict.score(code)

    return score


_SOURCE = DataHome(
    folder="livecodebench",
    files=("test*.jsonl",),
    obtain="Hugging Face livecodebench/code_generation_lite, test.jsonl to test6.jsonl",
    hub="livecodebench/code_generation_lite",
)
LIVECODEBENCH = Benchmark(
    name="livecodebench",
    title="LiveCodeBench v6 (Aug 24 - May 25)",
    paper="https://arxiv.org/abs/2403.07974",
    protocol=Protocol(metric="Pass@1", runs_code=("python",)),
    source=_SOURCE,
    read=read,
    scorer=passes_all,
)
LIVECODEBENCH_BASE = Benchmark(
    name="livecodebench-base",
    title="LiveCodeBench v6",
    paper="https://arxiv.org/abs/2403.07974",
    protocol=Protocol(
        metric="Pass@1", asks="completion", shots=1, temperature=0.0, runs_code=("python",)
    ),
    source=_SOURCE,
    read=partial(read, base=True),
    scorer=partial(passes_all, base=True),
)
