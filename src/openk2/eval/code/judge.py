"""Runs in the sandbox, as a script by itself: the tests' side of a Python verdict.

The answer's code runs in another process, which gets calls and gives plain values back. It never
holds the tests or the word that means success, cannot read this process (which is not dumpable) and
cannot make it compare otherwise: what it returns arrives as built-in values, or as a handle that is
equal to none of them.
"""

import builtins
import ctypes
import json
import os
import subprocess
import sys
import types
from typing import Any

_PR_SET_DUMPABLE = 4
_STARTING = """import sys, types
wire = sys.modules["wire"] = types.ModuleType("wire")
exec({wire!r}, wire.__dict__)
exec({worker!r})
"""


class Handle:
    """An object that only the other process has; what tests do with it is asked of that process."""

    def __init__(self, worker: "Worker", number: int) -> None:
        object.__setattr__(self, "_worker", worker)
        object.__setattr__(self, "_number", number)

    def _ask(self, what: str, *args: Any) -> Any:
        return self._worker.ask(what, self._number, list(args), {})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._worker.ask("call", self._number, list(args), kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._ask("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._ask("setattr", name, value)

    def __iter__(self) -> Any:
        return iter(self._ask("list"))

    def __len__(self) -> Any:
        return self._ask("len")

    def __getitem__(self, key: Any) -> Any:
        return self._ask("getitem", key)

    def __eq__(self, other: object) -> Any:
        return self._ask("eq", other) if isinstance(other, Handle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._number)


class Worker:
    """The process with the answer's code."""

    def __init__(self, source: dict[str, str], solution: str, names: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-c", _STARTING.format(**source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.handles: dict[str, Handle] = {}
        for name, number in self.send({"solution": solution, "names": names}):
            self.handles[name] = Handle(self, number)

    def send(self, message: Any) -> Any:
        """Send one message and read the answer. Raises what the code raised there."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the program ended before it answered")
        answer = json.loads(line)
        if "error" in answer:
            kind = getattr(builtins, str(answer["error"]), None)
            known = isinstance(kind, type) and issubclass(kind, Exception)
            error: type[Exception] = kind if known else RuntimeError  # type: ignore[assignment]
            raise error(answer["text"])
        return answer["value"]

    def ask(self, what: str, number: int, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Have something done with an object there. Arguments that it changes change here too."""
        value, changed = self.send(
            {
                "what": what,
                "object": number,
                "args": [wire.encode(arg) for arg in args],
                "kwargs": {key: wire.encode(arg) for key, arg in kwargs.items()},
            }
        )
        for arg, now in zip(args, changed, strict=False):
            _copy_into(arg, wire.decode(now))
        return wire.decode(value)


def _copy_into(old: Any, new: Any) -> None:
    if isinstance(old, list) and isinstance(new, list):
        old[:] = new
    elif isinstance(old, dict | set) and type(old) is type(new):
        old.clear()
        old.update(new)


def main() -> None:
    """Read the order on stdin, run the tests, and print its word if all of them pass."""
    # Before the answer's process exists: it may not read this one's memory or files.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    order = json.loads(sys.stdin.buffer.read())
    sys.setrecursionlimit(10000)
    sys.set_int_max_str_digits(0)
    sys.path.append(order["packages"])
    exec(order["wire"], wire.__dict__)
    source = {"wire": order["wire"], "worker": order["worker"]}
    worker = Worker(source, order["solution"], order["names"])
    wire.make_handle = lambda number: Handle(worker, number)
    wire.number_of = lambda value: value._number if isinstance(value, Handle) else None
    sys.stdout = sys.stderr  # what tests print is no verdict
    tests: dict[str, Any] = {"__name__": "tests"}
    exec(compile(order["prelude"], "prelude", "exec"), tests)
    tests.update(worker.handles)
    exec(compile(order["tests"], "tests", "exec"), tests)
    worker.process.kill()
    os.write(1, order["word"].encode() + b"\n")


wire: Any = types.ModuleType("wire")

if __name__ == "__main__":
    main()
