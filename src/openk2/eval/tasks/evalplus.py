"""EvalPlus: HumanEval and MBPP, with their own tests and with the many more of EvalPlus.

Paper: https://arxiv.org/abs/2305.01210. Protocol: pass@1 of base models, the mean of HumanEval,
MBPP, HumanEval+ and MBPP+ (the report's note): bare prompts continued, zero-shot, greedy, 8,192
tokens. Prompt: HumanEval's own; for MBPP a docstring with the task and a test, as published.
Extraction: the completion up to the next top-level definition, test or print. Metric: HumanEval and
MBPP: the original tests pass; the plus sets: those of EvalPlus as well. Tests and program run in
two processes.

Data: the Hugging Face files of evalplus/humanevalplus and evalplus/mbppplus with the original
HumanEval. HumanEval+ may also be the file of EvalPlus's releases, which holds inputs and a
reference solution; MbppPlus.jsonl may not: in it tuples and sets have become lists.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.environments import Limits, Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.extraction import cut_at
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.code.python_tests import run_python_tests
from openk2.eval.records import Record, find, read_file
from openk2.record import DataError

PATTERNS = ("*.jsonl", "*.jsonl.gz", "*.parquet")
LIMITS = Limits(seconds=60, memory_bytes=4 << 30)
_ENDS = ("\nif __name__", "\nprint(", "\nassert ", "\n```", "\n# Test")
_HUMANEVAL_ENDS = ("\ndef ", "\nclass ", "\nimport ", "\nfrom ", *_ENDS)
_MBPP_ENDS = ('\n"""', *_ENDS)
_GROUPS = ("humaneval", "humaneval-plus", "mbpp", "mbpp-plus")

# Inputs of a release, against the reference solution, which runs beside the tests. A root of
# find_zero's polynomial is right by its value there, not by its nearness to the reference's root.
_AGAINST_REFERENCE = """
import copy, json, math
def _close(out, expected, atol):
    if isinstance(expected, float) and isinstance(out, (int, float)):
        near = abs(out - expected) <= (atol or 1e-6) + 1e-7 * abs(expected)
        return out == expected or (math.isnan(out) and math.isnan(expected)) or near
    if isinstance(expected, (list, tuple)) and isinstance(out, (list, tuple)):
        return len(out) == len(expected) and all(_close(o, e, atol) for o, e in zip(out, expected))
    return out == expected
for _inputs in json.loads({inputs!r}):
    _out = {name}(*copy.deepcopy(_inputs))
    if {name!r} == "find_zero":
        assert abs(sum(c * math.pow(_out, i) for i, c in enumerate(_inputs[0]))) <= {atol!r}, _out
        continue
    _expected = _reference(*copy.deepcopy(_inputs))
    assert _close(_out, _expected, {atol!r}), (_out, _expected)
"""


def read(folder: Path) -> list[Sample]:
    """One sample for each of HumanEval's 164 and MBPP's 378 problems; each counts in two groups."""
    original = {
        record.text("task_id").rpartition("/")[2]: record
        for path in find(folder, *PATTERNS)
        if _kind(path, folder) == "humaneval"
        for record in read_file(path)
    }
    samples = []
    for path in find(folder, *PATTERNS):
        kind = _kind(path, folder)
        if kind.endswith("-plus"):
            make = _humaneval if kind.startswith("humaneval") else _mbpp
            samples += [make(record, original) for record in read_file(path)]
    return samples


def _kind(path: Path, folder: Path) -> str:
    name = str(path.relative_to(folder)).lower()
    return ("mbpp" if "mbpp" in name else "humaneval") + ("-plus" if "plus" in name else "")


def _humaneval(record: Record, original: dict[str, Record]) -> Sample:
    number = record.text("task_id").rpartition("/")[2]
    name, prompt = record.text("entry_point"), record.text("prompt")
    solution = prompt + record.text("canonical_solution")
    if "plus_input" in record:
        base, plus = _release_tests(record, name)
    else:
        if number not in original:
            raise DataError(f"{record.place}: HumanEval/{number} itself is not in the folder")
        call = f"\ncheck({name})\n"
        base, plus = original[number].text("test") + call, record.text("test") + call
    return Sample(
        id=f"humaneval/{number}",
        input=prompt,
        target=record.text("canonical_solution"),
        metadata={
            "set": "humaneval",
            "before": prompt,
            "prelude": _reference(solution, name)
            if "plus_input" in record
            else prompt + "    pass\n",
            "names": [name],
            "base": base,
            "plus": plus,
        },
    )


def _mbpp(record: Record, original: dict[str, Record]) -> Sample:
    number = str(record.one_of("task_id")).rpartition("/")[2]
    if "plus_input" in record:
        raise DataError(f"{record.place}: use evalplus/mbppplus, whose inputs keep their types")
    tests = [str(test) for test in record.one_of("test_list")]
    solution = record.text("code")
    imports = "\n".join(record.get("test_imports") or [])
    return Sample(
        id=f"mbpp/{number}",
        input=f'"""\n{record.text("prompt").strip()}\n{tests[0]}\n"""\n',
        target=solution,
        metadata={
            "set": "mbpp",
            "before": "",
            "prelude": "",
            "names": _defined(solution),
            "base": "\n".join([imports, *tests]),
            "plus": record.text("test"),
        },
    )


def _release_tests(record: Record, name: str) -> tuple[str, str]:
    atol = float(record.get("atol") or 0)
    base, plus = (
        _AGAINST_REFERENCE.format(inputs=json.dumps(record.one_of(field)), name=name, atol=atol)
        for field in ("base_input", "plus_input")
    )
    return base, plus


def _reference(solution: str, name: str) -> str:
    """The reference solution among names of its own: an answer without `name` does not find it, and
    a recursive one does not call the answer."""
    return f"_names = {{}}\nexec({solution!r}, _names)\n_reference = _names[{name!r}]\n"


def _defined(code: str) -> list[str]:
    import ast

    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(code).body if isinstance(node, kinds)]


def completed(metadata: dict[str, Any], completion: str) -> str:
    """The program that a completion makes: after HumanEval's prompt, or by itself."""
    if metadata["set"] == "humaneval":
        return str(metadata["before"]) + cut_at(completion, _HUMANEVAL_ENDS) + "\n"
    return cut_at(completion, _MBPP_ENDS) + "\n"


def judge(sandbox: Sandbox, metadata: dict[str, Any], program: str) -> tuple[Judgement, Judgement]:
    """Verdicts by the original tests, and by those and EvalPlus's together."""
    run = partial(
        run_python_tests,
        sandbox,
        solution=program,
        names=metadata["names"],
        prelude=metadata["prelude"],
        limits=LIMITS,
    )
    base = run(tests=metadata["base"])
    return base, run(tests=metadata["plus"]) if base.passed else base


@scorer(metrics=[mean()])
def passes_tests() -> Scorer:
    """The mean of a program's two verdicts; its groups say which is which."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        program = completed(state.metadata, state.output.completion)
        base, plus = await run_aside(partial(judge, sandbox, state.metadata, program))
        name = state.metadata["set"]
        if base.missing or plus.missing:
            return (base if base.missing else plus).score(program)
        groups = {name: float(base.passed), f"{name}-plus": float(plus.passed)}
        value = sum(groups.values()) / 2
        reason = "passed" if plus.passed else plus.reason
        return Score(value=value, answer=program, explanation=reason, metadata={"groups": groups})

    return score


EVALPLUS_BASE = Benchmark(
    name="evalplus-base",
    title="EvalPlus",
    paper="https://arxiv.org/abs/2305.01210",
    protocol=Protocol(
        metric="Pass@1",
        asks="completion",
        temperature=0.0,
        groups=dict.fromkeys(_GROUPS, 1.0),
        runs_code=("python",),
    ),
    source=DataHome(
        folder="evalplus",
        files=("*[Hh]uman[Ee]val*", "*[Mm]bpp*"),
        obtain="Hugging Face evalplus/humanevalplus, evalplus/mbppplus and openai/openai_humaneval,"
        " each into a folder of its own in evalplus/",
    ),
    read=read,
    scorer=passes_tests,
)
