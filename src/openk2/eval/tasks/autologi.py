"""AutoLogi: open-ended logic puzzles, whose answers are checked by the puzzle's own programs.

Paper: https://arxiv.org/abs/2502.16906. Protocol: accuracy, the mean of the English and the Chinese
set (the paper's overall score; the README names no language), zero-shot chat with the published
prompts, temperature 0.6, 8,192 tokens. Extraction: the last fenced block, else the last braces,
else the last brackets; a Python or JSON value, with or without a name before `=`. It is read as a
value and never run. Metric: `inputs_check` and every function of `constraint_list`, the puzzle's
code, accept it; that code runs in the sandbox.
"""

import ast
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.environments import Limits, Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.extraction import code_blocks
from openk2.eval.code.judgement import Judgement, reason_of
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.records import Record, find, read_file

LIMITS = Limits(seconds=20)
_FILES = {"en": "AutoLogi_en.jsonl", "cn": "AutoLogi_cn.jsonl"}
_LONGEST = 100_000  # characters of an arrangement
_CHECK = """
import ast as _ast, sys as _sys
_inputs = _ast.literal_eval(_sys.stdin.read())
print(bool(inputs_check(_inputs)) and all(_constraint(_inputs) for _constraint in constraint_list))
"""


def read(folder: Path) -> list[Sample]:
    """One sample for each puzzle of both languages."""
    return [
        _sample(record, group)
        for group, file in _FILES.items()
        for path in find(folder, file)
        for record in read_file(path)
    ]


def _sample(record: Record, group: str) -> Sample:
    code = Record(record.one_of("code"), record.place)
    return Sample(
        id=f"{group}/{record.one_of('idx')}",
        input=record.text("prompt"),
        metadata={
            "group": group,
            "check": code.text("Inputs_Check_code"),
            "constraints": code.text("Constraint_List_code"),
        },
    )


def arrangement(answer: str) -> Any:
    """The value that an answer gives. Raises ValueError if there is none."""
    blocks = code_blocks(answer)
    text = blocks[-1][1] if blocks else _last_value(answer)
    if text is None or len(text) > _LONGEST:
        raise ValueError("the answer holds no arrangement")
    # A comment ends its line, in the notation of either language; a text may hold the signs.
    text = _without_comments(text).strip()
    named = re.match(r"[A-Za-z_]\w*\s*=(?!=)\s*", text)
    text = text[named.end() :] if named else text
    for parse in (json.loads, _literal):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    raise ValueError("the arrangement is neither a Python nor a JSON value")


def judge(sandbox: Sandbox, metadata: dict[str, Any], answer: str) -> tuple[Judgement, str]:
    """Whether the puzzle's programs accept the answer's arrangement, and that arrangement."""
    try:
        value = repr(arrangement(answer))
    except (ValueError, RecursionError) as error:
        return Judgement(False, str(error)), ""
    program = f"{metadata['check']}\n{metadata['constraints']}\n{_CHECK}"
    finished = sandbox.run(
        ["python3", "-I", "program.py"],
        {"program.py": program.encode()},
        limits=LIMITS,
        stdin=value.encode(errors="backslashreplace"),
    )
    if finished.ok:
        passed = finished.stdout.split(b"\n")[-2:] == [b"True", b""]
        return Judgement(passed, "a constraint does not hold"), value
    return Judgement(False, reason_of(finished)), value


_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(?://|#)[^\n]*')


def _without_comments(text: str) -> str:
    return _TOKENS.sub(lambda found: found[0] if found[0][0] in "\"'" else "", text)


def _literal(text: str) -> Any:
    """A Python value, in which JSON's names may stand too."""
    names = {"true": "True", "false": "False", "null": "None"}
    token = re.compile(_TOKENS.pattern + r"|\b(?:true|false|null)\b")
    return ast.literal_eval(token.sub(lambda found: names.get(found[0], found[0]), text))


def _last_value(text: str) -> str | None:
    """The last outermost {...} of a text, else the last [...]."""
    for opening, closing in ("{}", "[]"):
        depth, start, last = 0, 0, None
        for at, char in enumerate(text):
            if char == opening:
                start = at if depth == 0 else start
                depth += 1
            elif char == closing and depth:
                depth -= 1
                last = text[start : at + 1] if depth == 0 else last
        if last is not None:
            return last
    return None


@scorer(metrics=[mean()])
def accepted() -> Scorer:
    """1 for an arrangement that the puzzle's programs accept."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        answer = state.output.completion
        verdict, value = await run_aside(partial(judge, sandbox, state.metadata, answer))
        return verdict.score(value)

    return score


AUTOLOGI = Benchmark(
    name="autologi",
    title="AutoLogi",
    paper="https://arxiv.org/abs/2502.16906",
    protocol=Protocol(metric="Acc", groups={"en": 1.0, "cn": 1.0}, runs_code=("python",)),
    source=DataHome(
        folder="autologi",
        files=("AutoLogi_en.jsonl", "AutoLogi_cn.jsonl"),
        obtain="GitHub 8188zq/AutoLogi, the two files of testing-data",
    ),
    read=read,
    scorer=accepted,
)
