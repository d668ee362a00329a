"""Python verdicts: right programs pass, and no program decides its own verdict."""

import pytest

from code_answers import best_sandbox
from openk2.environments import Limits
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.python_tests import run_python_tests

TESTS = "assert f(2) == 4\nassert f([1]) == [1, 1]\nassert f('a') == 'aa'\n"


def verdict(solution: str, tests: str = TESTS, seconds: float = 10, **more: str) -> Judgement:
    return run_python_tests(
        best_sandbox(),
        solution=solution,
        tests=tests,
        names=["f", "Pair"],
        limits=Limits(seconds=seconds),
        **more,
    )


def test_a_right_program_passes_whatever_it_prints() -> None:
    assert verdict("print('hello')\ndef f(x):\n    print('x' * 100000)\n    return x * 2").passed


ALWAYS_EQUAL = """
class Equal:
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __class_getitem__(cls, item): return cls
def f(x): return Equal()
"""
EQUAL_STRING = """
class Equal(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
class Four(int):
    def __eq__(self, other): return True
    def __repr__(self): return "4"
    __str__ = __repr__
    __hash__ = int.__hash__
class Same(list):
    def __eq__(self, other): return True
    def __iter__(self): return iter([1, 1])
def f(x): return {int: Four(5), list: Same([7]), str: Equal("no")}[type(x)]
"""
PATCHED = """
import builtins, sys, types
class Liar(dict):
    def __missing__(self, key): return 4
builtins.AssertionError = type("Silent", (BaseException,), {})
sys.settrace(lambda *args: None)
def f(x): return None
"""
FORGED = """
import os, glob
for fd in range(64):
    try:
        os.write(fd, b'{"value": [["i", "4"], []]}\\n')
    except OSError:
        pass
os._exit(0)
"""
KILL_JUDGE = "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)\ndef f(x): return 4"
SHADOWING = """
import os
for name in ("json", "ctypes", "builtins", "math", "numpy"):
    try:
        open(name + ".py", "w").write("raise SystemExit(0)")
    except OSError:
        pass
def f(x): return None
"""


@pytest.mark.parametrize(
    "solution",
    [
        "def f(x): return x",
        "",
        "def f(x:",
        "def g(x): return x * 2",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "def f(x):\n    import os\n    os._exit(0)",
        "def f(x):\n    raise SystemExit(0)",
        "def f(x):\n    raise AssertionError",
        "print('All tests passed')\nimport sys\nsys.exit(0)",
        "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 1",
        ALWAYS_EQUAL,
        EQUAL_STRING,
        PATCHED,
        FORGED,
        KILL_JUDGE,
        SHADOWING,
        "f = lambda x: f",
        "def f(x): return (y for y in [x * 2])",
        "import sys\nsys.modules['__main__'].__dict__.clear()\ndef f(x): return 3",
    ],
)
def test_a_wrong_program_does_not_pass(solution: str) -> None:
    result = verdict(solution)
    assert not result.passed
    assert result.reason
    assert not result.missing


def test_an_endless_program_fails_by_time() -> None:
    assert verdict("def f(x):\n    while True: pass", seconds=1).reason == "time limit"


@pytest.mark.parametrize(
    ("solution", "tests"),
    [
        ("def f(x): x.sort()", "a = [2, 1]; f(a); assert a == [1, 2]"),
        ("def f(x): x['b'] = {1, 2}", "a = {'a': 1}; f(a); assert a == {'a': 1, 'b': {1, 2}}"),
        ("def f(*a, **k): return a, k", "assert f(1, z=2) == ((1,), {'z': 2})"),
        ("def f(x): yield from x", "assert list(f([1, 2])) == [1, 2]"),
        (
            "def f(x): return {'a': (1, 2.5, None, True, 1j, b'x', {3})}",
            "assert f(0)['a'][6] == {3}",
        ),
        ("def f(x): return 10 ** 5000", "assert f(0) == 10 ** 5000"),
        ("def f(x): return float('nan')", "assert f(0) != f(0)"),
        (
            "import collections\ndef f(x): return collections.Counter(x)",
            "assert f('aab') == {'a': 2, 'b': 1}",
        ),
        (
            "class Pair:\n    def __init__(self, a): self.a = a\ndef f(p): return p.a",
            "p = Pair(3); assert f(p) == 3; p.a = 4; assert f(p) == 4",
        ),
        (
            "def f(x): raise ValueError(x)",
            "try:\n    f(1)\nexcept ValueError: pass\nelse: assert 0",
        ),
        ("def f(x): return x is int", "assert f(int)"),
        (
            "import sys\nsys.setrecursionlimit(100000)\ndef f(x): return f(x - 1) if x else 0",
            "assert f(3000) == 0",
        ),
    ],
)
def test_what_tests_may_do_works_across_the_two_processes(solution: str, tests: str) -> None:
    result = verdict(solution, tests)
    assert result.passed, result.reason


def test_the_benchmarks_helpers_are_at_hand_but_do_not_answer() -> None:
    prelude = "def helper(x): return x + 1\ndef f(x): return 3\n"
    assert verdict("def f(x): return 2", "assert f(1) == helper(1)", prelude=prelude).passed
    assert not verdict("def f(x): return 3", "assert f(1) == helper(1)", prelude=prelude).passed


@pytest.mark.parametrize("name", ["mem", "environ", "fd/0", "fd/1", "maps"])
def test_the_process_with_the_tests_cannot_be_read(name: str) -> None:
    solution = f"import os\ndef f(): return open(f'/proc/{{os.getppid()}}/{name}', 'rb').read(1)"
    tests = "try:\n    f()\nexcept PermissionError:\n    pass\nelse:\n    raise AssertionError"
    result = verdict(solution, tests)
    assert result.passed, result.reason
