"""Programs that read stdin and write stdout, and functions that return JSON: judged out here.

The expected outputs never enter the sandbox, so there is nothing to tamper with.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from openk2.environments import Limits, Sandbox
from openk2.eval.code.judgement import Judgement, reason_of
from openk2.eval.code.place import missing
from openk2.eval.code.programs import LIMITS, compile_cpp, run_compiled, run_program


@dataclass(frozen=True)
class Case:
    """One test: what goes in, what must come out."""

    stdin: str
    expected: str


def run_cases(
    sandbox: Sandbox,
    language: str,
    program: str,
    cases: Sequence[Case],
    *,
    limits: Limits = LIMITS,
    check: Callable[[Case, str], bool] | None = None,
    pypy: bool = False,
) -> Judgement:
    """Run `program` once for each case and compare its output; the first that fails ends it.

    check: whether an output is right, by default by `same_output`. pypy: run Python with it where
    it is found; the verdict's details say which ran.
    """
    lacking = missing(sandbox, language)
    if lacking:
        return Judgement(False, missing=lacking)
    language = (
        "pypy" if pypy and language == "python" and not missing(sandbox, "pypy") else language
    )
    details = {"language": language}
    compiled = compile_cpp(sandbox, program) if language == "cpp" else None
    if compiled is not None and not compiled.ok:
        return Judgement(False, f"not compiled: {reason_of(compiled)}", details=details)
    for number, case in enumerate(cases):
        given = case.stdin.encode()
        if compiled is not None:
            finished = run_compiled(sandbox, compiled.stdout, stdin=given, limits=limits)
        else:
            finished = run_program(sandbox, language, program, stdin=given, limits=limits)
        if not finished.ok:
            return Judgement(False, f"test {number}: {reason_of(finished)}", details=details)
        said = finished.stdout.decode(errors="replace")
        right = check(case, said) if check else same_output(said, case.expected)
        if finished.cut or not right:
            return Judgement(False, f"test {number}: wrong answer", details=details)
    return Judgement(bool(cases), "" if cases else "no tests", details=details)


def same_output(said: str, expected: str) -> bool:
    """Equal line by line without outer spaces; numbers in a line may be written differently."""
    said_lines, expected_lines = (
        [line.strip() for line in text.strip().split("\n")] for text in (said, expected)
    )
    return len(said_lines) == len(expected_lines) and all(
        map(_same_line, said_lines, expected_lines)
    )


def _same_line(said: str, expected: str) -> bool:
    if said == expected:
        return True
    try:
        return list(map(Decimal, said.split())) == list(map(Decimal, expected.split()))
    except InvalidOperation:
        return False


_CALLING = """
import json as _json, sys as _sys, os as _os
_answers = _os.fdopen(_os.dup(1), "w")
_os.dup2(_os.open(_os.devnull, _os.O_WRONLY), 1)
_args = _json.load(_sys.stdin)
_owner = globals().get("Solution")
_function = getattr(_owner(), {name!r}) if _owner is not None else globals()[{name!r}]
_answers.write(_json.dumps(_function(*_args)))
_answers.flush()
"""


def run_calls(
    sandbox: Sandbox,
    program: str,
    name: str,
    calls: Sequence[tuple[list[Any], Any]],
    *,
    limits: Limits = LIMITS,
) -> Judgement:
    """Call `name`, a function or a method of Solution, once for each (arguments, expected)."""
    lacking = missing(sandbox, "python")
    if lacking:
        return Judgement(False, missing=lacking)
    run = partial(run_program, sandbox, "python", program + _CALLING.format(name=name))
    for number, (args, expected) in enumerate(calls):
        finished = run(stdin=json.dumps(args).encode(), limits=limits)
        if not finished.ok:
            return Judgement(False, f"test {number}: {reason_of(finished)}")
        if not _is_json(finished.stdout, expected):
            return Judgement(False, f"test {number}: wrong answer")
    return Judgement(bool(calls), "" if calls else "no tests")


def _is_json(said: bytes, expected: Any) -> bool:
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return False
    # In Python 1 == True; in the published judge too.
    return bool(value == expected)


def safe_name(name: str) -> bool:
    """Whether a benchmark's function name is one."""
    return re.fullmatch(r"[A-Za-z_]\w*", name) is not None
