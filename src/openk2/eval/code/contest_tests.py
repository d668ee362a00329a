"""Tests of a contest problem as LiveCodeBench packs them; LiveBench's coding tasks do too.

Outputs are compared line by line, numbers as decimals; returned values as JSON. Six seconds a test,
as the published judge.
"""

import base64
import io
import json
import pickle
import zlib
from typing import Any

from openk2.environments import Limits, Sandbox
from openk2.eval.code.judged_output import Case, run_calls, run_cases, safe_name
from openk2.eval.code.judgement import Judgement
from openk2.eval.records import Record
from openk2.record import DataError

LIMITS = Limits(seconds=6, memory_bytes=4 << 30, output_bytes=32 << 20)
_MAX_TESTS = 1 << 30  # bytes of one problem's private tests, unpacked
# The names that solutions take for granted, in the order of LiveCodeBench's testing_util.py. Those
# of builtins come late: math, operator and io have a pow or an open of their own.
_STARRED = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random",
    "statistics", "itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip
_IMPORTS = (
    "".join(f"from {module} import *\n" for module in _STARRED)
    + "".join(f"import {module}\n" for module in _STARRED if module not in ("builtins", "typing"))
    + "sys.setrecursionlimit(50000)\n"
)


class _TextUnpickler(pickle.Unpickler):
    """Opens a pickle of plain text and refuses every class, function and persistent object."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        raise pickle.UnpicklingError(f"holds {module_name}.{global_name}, only text is read")


def private_tests(packed: str) -> list[dict[str, Any]]:
    """The private tests of a problem: JSON, or base64 of zlib of a pickle of JSON text.

    Raises ValueError for anything else: no object of a pickle is ever built.
    """
    if packed.lstrip().startswith("["):
        return list(json.loads(packed))
    opened = zlib.decompressobj()
    data = opened.decompress(base64.b64decode(packed, validate=True), _MAX_TESTS)
    if opened.unconsumed_tail:
        raise ValueError(f"private tests are larger than {_MAX_TESTS} bytes")
    try:
        text = _TextUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
        raise ValueError(f"private tests: {error}") from None
    if not isinstance(text, str):
        raise ValueError(f"private tests are a {type(text).__name__}, must be text")
    return list(json.loads(text))


def judge_by_tests(sandbox: Sandbox, problem: Record, metadata: str, code: str) -> Judgement:
    """Whether `code` passes the problem's public and private tests.

    problem: fields public_test_cases and private_test_cases. metadata: JSON; with a func_name a
    function or a method is called, otherwise the program reads stdin. Raises DataError.
    """
    try:
        tests = json.loads(problem["public_test_cases"])
        tests += private_tests(problem["private_test_cases"])
        name = json.loads(metadata).get("func_name")
        program = _IMPORTS + code + "\n"
        if name is None:
            cases = [Case(test["input"], test["output"]) for test in tests]
            return run_cases(sandbox, "python", program, cases, limits=LIMITS)
        if not safe_name(name):
            raise ValueError(f"func_name {name!r} is no name")
        calls = [(_arguments(test["input"]), json.loads(test["output"])) for test in tests]
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise DataError(f"{problem.place}: {error}") from None
    return run_calls(sandbox, program, name, calls, limits=LIMITS)


def _arguments(text: str) -> list[Any]:
    return [json.loads(line) for line in text.split("\n")]
