"""Python answers against Python tests (HumanEval, MBPP and their plus sets), in two processes.

The tests and the answer never share a process, so an answer that exits early, prints what it likes,
patches `assert`'s helpers or returns an object equal to everything does not pass.
"""

import json
import uuid
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from openk2.environments import Limits, Sandbox
from openk2.eval.code.judgement import Judgement, reason_of
from openk2.eval.code.place import PACKAGES, has_numpy

LIMITS = Limits(seconds=15, memory_bytes=2 << 30)


def run_python_tests(
    sandbox: Sandbox,
    *,
    solution: str,
    tests: str,
    names: Sequence[str],
    prelude: str = "",
    limits: Limits = LIMITS,
) -> Judgement:
    """Run `tests` with `names` of `solution` at hand.

    solution: the answer's whole program. tests: a program that ends without an exception if the
    answer is right. prelude: code of the benchmark's own that the tests use, such as helpers in the
    prompt; `names` come from the solution even if it defines them.
    """
    if "numpy" in tests and not has_numpy(sandbox):
        return Judgement(False, missing="numpy: not found by the sandbox's python3")
    word = uuid.uuid4().hex
    order = {
        "word": word,
        "packages": PACKAGES,
        "wire": _source("wire"),
        "worker": _source("worker"),
        "solution": solution,
        "names": list(names),
        "prelude": prelude,
        "tests": tests,
    }
    finished = sandbox.run(
        ["python3", "-I", "-c", _source("judge")],
        limits=limits,
        stdin=json.dumps(order).encode(),
    )
    if finished.ok and finished.stdout == word.encode() + b"\n":
        return Judgement(True)
    return Judgement(False, reason_of(finished))


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
