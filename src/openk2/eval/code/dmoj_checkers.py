"""Checkers of DMOJ's judge, in whose format OJBench's problems are published.

Its own, by their published rules, and those that a problem brings in C++, with the arguments and
exit codes of DMOJ or of testlib: 0 right, 1 wrong, 2 wrong in form, 7 partly right, which passes.
Those run in the sandbox and see the answer's output only as a file. Where one crashes or runs out
of time, the published judge counts the test as failed: so do we.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from openk2.environments import LANGUAGES, Limits, Sandbox
from openk2.eval.code.judged_output import Case
from openk2.eval.code.judgement import reason_of
from openk2.eval.code.place import missing

Check = Callable[[Case, str], bool]
LIMITS = Limits(seconds=20, memory_bytes=512 << 20)
_COMPILING = Limits(seconds=90, memory_bytes=3 << 30, disk_bytes=128 << 20, output_bytes=128 << 20)
_ARGUMENTS = "{input_file} {output_file} {answer_file}"
_RIGHT, _PARTLY = 0, 7
_CPP = (".cpp", ".cc")


class CheckerError(Exception):
    """A checker that is not known here, or does not compile: what it is, in a few words."""


def checker(sandbox: Sandbox, folder: Path, wanted: Any) -> Check:
    """The check that a problem in `folder` asks for: a name, {name, args}, or nothing.

    Raises CheckerError.
    """
    settings: Mapping[str, Any] = (
        wanted if isinstance(wanted, Mapping) else {"name": wanted or "standard"}
    )
    name, args = str(settings.get("name")), dict(settings.get("args") or {})
    if name == "bridged":
        return _bridged(sandbox, folder, args)
    build = _OWN.get(name)
    if build is None:
        raise CheckerError(f"checker {name}")
    try:
        return build(args)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckerError(f"checker {name}: {error!r}") from None


def standard(case: Case, said: str) -> bool:
    """Equal tokens in equal lines, without regard to other white space and to empty lines."""
    return _tokens(said) == _tokens(case.expected)


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"[\r\n]", text) if line]


def _tokens(text: str) -> list[list[str]]:
    return [line.split() for line in _lines(text) if line.strip()]


def _identical(case: Case, said: str) -> bool:
    return said == case.expected


def _rstripped(case: Case, said: str, *, filtered: bool) -> bool:
    ours, right = (
        [line.rstrip() for line in re.split(r"[\r\n]", text) if line or not filtered]
        for text in (said, case.expected)
    )
    return ours == right


def _in_any_order(case: Case, said: str, *, by_lines: bool) -> bool:
    ours, right = (
        sorted(line.split() for line in _lines(text)) if by_lines else sorted(text.split())
        for text in (said, case.expected)
    )
    return ours == right


def _floats(case: Case, said: str, *, epsilon: float, near: Callable[..., bool]) -> bool:
    ours, right = ([line.split() for line in _lines(text)] for text in (said, case.expected))
    if [len(line) for line in ours] != [len(line) for line in right]:
        return False
    pairs = (pair for lines in zip(ours, right, strict=True) for pair in zip(*lines, strict=True))
    return all(_same_token(mine, theirs, epsilon, near) for mine, theirs in pairs)


def _same_token(mine: str, theirs: str, epsilon: float, near: Callable[..., bool]) -> bool:
    try:
        wanted = float(theirs)
    except ValueError:
        return mine == theirs
    try:
        return near(float(mine), wanted, epsilon)
    except (ValueError, ZeroDivisionError, OverflowError):
        return False


def _absolute(mine: float, wanted: float, epsilon: float) -> bool:
    return abs(mine - wanted) <= epsilon


def _relative(mine: float, wanted: float, epsilon: float) -> bool:
    ends = sorted((wanted * (1 - epsilon), wanted * (1 + epsilon)))
    return ends[0] <= mine <= ends[1]


def _either(mine: float, wanted: float, epsilon: float) -> bool:
    relative = abs(wanted) >= epsilon and abs(1 - mine / wanted) <= epsilon
    return _absolute(mine, wanted, epsilon) or relative


_NEAR = {"absolute": _absolute, "relative": _relative, "default": _either}


def _of_floats(args: Mapping[str, Any], mode: str = "default") -> Check:
    near = _NEAR[str(args.get("error_mode", mode))]
    return partial(_floats, epsilon=10.0 ** -int(args.get("precision", 6)), near=near)


def _of_sorted(args: Mapping[str, Any]) -> Check:
    split = args.get("split_on", "lines")
    return partial(_in_any_order, by_lines={"lines": True, "whitespace": False}[split])


_OWN: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "standard": lambda args: standard,
    "identical": lambda args: _identical,
    "floats": _of_floats,
    "floatsabs": partial(_of_floats, mode="absolute"),
    "floatsrel": partial(_of_floats, mode="relative"),
    "sorted": _of_sorted,
    "unordered": lambda args: _of_sorted({"split_on": "whitespace"}),
    "rstripped": lambda args: partial(_rstripped, filtered=bool(args.get("filter_new_line"))),
}


@dataclass(frozen=True)
class _Program:
    """A compiled checker and its command line."""

    sandbox: Sandbox
    binary: bytes
    arguments: str

    def __call__(self, case: Case, said: str) -> bool:
        names = {"input_file": "input", "output_file": "output", "answer_file": "answer"}
        words = shlex.split(self.arguments.format(**names))
        finished = self.sandbox.run(
            ["/bin/sh", "-c", 'chmod u+x checker && exec ./checker "$@"', "checker", *words],
            {
                "checker": self.binary,
                "input": case.stdin.encode(),
                "output": said.encode(),
                "answer": case.expected.encode(),
            },
            limits=LIMITS,
        )
        stopped = finished.timed_out or finished.out_of_memory
        return not stopped and finished.exit_code in (_RIGHT, _PARTLY)


def _bridged(sandbox: Sandbox, folder: Path, args: Mapping[str, Any]) -> Check:
    kind, files = str(args.get("type", "default")), args.get("files")
    names = [files] if isinstance(files, str) else list(files or ())
    flags = tuple(str(flag) for flag in args.get("flags") or ())
    if kind not in ("default", "testlib") or not any(Path(str(n)).suffix in _CPP for n in names):
        raise CheckerError(f"checker of type {kind} of {', '.join(map(str, names)) or 'no files'}")
    if lacking := missing(sandbox, "cpp"):
        raise CheckerError(f"checker: {lacking}")
    binary = _compiled(sandbox, _files(folder, map(str, names)), flags)
    return _Program(sandbox, binary, str(args.get("args_format_string") or _ARGUMENTS))


def _files(folder: Path, names: Iterable[str]) -> tuple[tuple[str, bytes], ...]:
    """Name and content of each; testlib.h too, if it lies in the folder or beside NOI and ICPC."""
    try:
        files = {Path(name).name: (folder / name).read_bytes() for name in names}
        for near in (folder, folder.parent.parent):
            if (near / "testlib.h").is_file():
                files.setdefault("testlib.h", (near / "testlib.h").read_bytes())
    except OSError as error:
        raise CheckerError(f"checker: {error}") from None
    return tuple(files.items())


@cache
def _compiled(
    sandbox: Sandbox, files: tuple[tuple[str, bytes], ...], flags: tuple[str, ...]
) -> bytes:
    known = LANGUAGES["cpp"]
    sources = [name for name, _ in files if Path(name).suffix in _CPP]
    command = [word for word in known.compile if word != known.source]
    compiling = shlex.join([*command, "-O2", "-I.", *flags, *sources])
    finished = sandbox.run(
        ["/bin/sh", "-c", f"{compiling} >&2 && cat program"], dict(files), limits=_COMPILING
    )
    if not finished.ok:
        raise CheckerError(f"checker does not compile: {reason_of(finished)[:300]}")
    return finished.stdout
