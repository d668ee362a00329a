"""Exercism exercises: their files, an answer's edits, and their tests in the sandbox.

An answer writes solution files only, and every run starts from the exercise's own tests. A run
passes if the test runner says so after its last test: in Python and C++ by a word drawn for the
run, elsewhere by the runner's own summary.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Lock

from openk2.environments import Limits, Sandbox
from openk2.eval.code.extraction import code_blocks
from openk2.eval.code.judgement import Judgement, reason_of
from openk2.eval.code.place import missing_command
from openk2.record import DataError

LIMITS = Limits(seconds=180, memory_bytes=4 << 30, disk_bytes=512 << 20, processes=256)
_LARGEST = 4 << 20  # bytes of one file of an exercise
_SHOWN = 160  # characters of why a trivial exercise does not pass
Setup = tuple[tuple[str, bytes], ...]  # name and content of each configuration file


@dataclass(frozen=True)
class Exercise:
    """solution, tests: paths that an answer writes, and that it must not. files: all of them."""

    language: str
    instructions: str
    solution: tuple[str, ...]
    tests: tuple[str, ...]
    files: Mapping[str, bytes]

    def stub(self, name: str) -> str:
        """A solution file as it is given."""
        return self.files.get(name, b"").decode(errors="replace")


def open_exercise(folder: Path, language: str) -> Exercise:
    """Read a folder in Exercism's layout. Raises DataError if it is none."""
    try:
        config = json.loads((folder / ".meta/config.json").read_text(encoding="utf-8"))
        parts = ("introduction.md", "instructions.md", "instructions.append.md")
        docs = [folder / ".docs" / part for part in parts]
        instructions = "\n\n".join(doc.read_text(encoding="utf-8") for doc in docs if doc.exists())
        solution, tests = (tuple(config["files"][key]) for key in ("solution", "test"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: not an exercise: {error!r}") from None
    if not solution or not tests or not instructions:
        raise DataError(f"{folder}: an exercise needs instructions, a solution file and tests")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and _is_shown(path.relative_to(folder)) and path.stat().st_size < _LARGEST
    }
    return Exercise(language, instructions.strip(), solution, tests, files)


def _is_shown(path: Path) -> bool:
    # .meta has the example solution.
    return not any(part.startswith(".") or part == "node_modules" for part in path.parts)


def edits(answer: str, solution: tuple[str, ...]) -> dict[str, bytes]:
    """Solution files in an answer: each a block after a line with its name, or with it inside.

    A single solution file needs no name: then the last block is it. Other files are left out.
    """
    named: dict[str, bytes] = {}
    names = {PurePosixPath(name).name: name for name in solution} | {
        name: name for name in solution
    }
    before = ""
    for part in re.split(r"(^[ \t]*```+[^\n]*\n.*?^[ \t]*```+[ \t]*$)", answer, flags=re.S | re.M):
        blocks = code_blocks(part) if part.lstrip().startswith("```") else []
        if not blocks:
            before = part.rstrip().rsplit("\n", 1)[-1]
            continue
        where = f"{before} {part.splitlines()[0]}"
        found = [name for name in names if _is_named(name, where)]
        if found:
            named[names[max(found, key=len)]] = (blocks[0][1] + "\n").encode()
    blocks = code_blocks(answer)
    if not named and len(solution) == 1 and blocks:
        named[solution[0]] = (blocks[-1][1] + "\n").encode()
    return named


def _is_named(name: str, line: str) -> bool:
    # Not as a part of another file's name, but a sentence may end with it.
    return re.search(rf"(?<![\w/.-]){re.escape(name)}(?!\.?[\w/-])", line) is not None


def run_exercise(sandbox: Sandbox, exercise: Exercise, edited: Mapping[str, bytes]) -> Judgement:
    """Run the exercise's tests on its files with `edited` ones in place; details: the output.

    A language in which a trivial exercise does not pass here is missing: its answers are not wrong.
    """
    runner = _RUNNERS[exercise.language]
    setup = runner.shared_setup(exercise.files)
    lacking = runner.lacks(sandbox) or unready(sandbox, exercise.language, setup)
    if lacking:
        return Judgement(False, missing=lacking)
    own = {name: data for name, data in edited.items() if name in exercise.solution}
    return run_tests(sandbox, runner, {**exercise.files, **own})


def unready(sandbox: Sandbox, language: str, setup: Setup) -> str:
    """Why a trivial exercise with these files of a real one does not pass, or "".

    Where only the runner is installed, without the packages that exercises need and that nothing
    here may download, no exercise passes. Run once for a sandbox, language and configuration; once
    more if a limit of time or memory ended it, since a busy machine is no missing package.
    """
    runner, key = _RUNNERS[language], (sandbox, language, setup)
    with _LOCKS[language]:
        if key in _UNREADY:
            return _UNREADY[key]
        verdict = run_tests(sandbox, runner, {**runner.trivial, **dict(setup)})
        said = " ".join(verdict.reason.split())[-_SHOWN:]
        failed = f"{language}: a trivial exercise does not pass here: {said}"
        told = "" if verdict.passed else failed
        if not verdict.stopped or key in _STOPPED:
            _UNREADY[key] = told
        _STOPPED.add(key)
        return told


def run_tests(sandbox: Sandbox, runner: "Runner", files: Mapping[str, bytes]) -> Judgement:
    """Run the tests of these files; details: the output."""
    word = uuid.uuid4().hex
    files = {**files, **runner.added(word)}
    files = {name: runner.unskipped(name, data) for name, data in files.items()}
    finished = sandbox.run(["/bin/sh", "-c", runner.command], files, limits=LIMITS, stdin=b"")
    output = (finished.stdout + finished.stderr).decode(errors="replace")
    last = finished.stdout.decode(errors="replace").rstrip().rsplit("\n", 1)[-1]
    said = last == word if runner.says_word else re.search(runner.passed, output, re.M) is not None
    passed = finished.ok and said
    told = output.replace(word, "")
    return Judgement(
        passed, "" if passed else reason_of(finished), details={"output": told[-8000:]}
    )


@dataclass(frozen=True)
class Runner:
    """How a language's tests run. needs: programs. passed: what the runner prints, or says_word.

    trivial: an exercise that passes wherever the language's exercises can run. setup: files of a
    real exercise that say what it needs; they are put to the trivial one. unnamed: takes the
    exercise's name out of such a file.
    """

    command: str
    needs: tuple[str, ...]
    trivial: Mapping[str, bytes]
    setup: tuple[str, ...] = ()
    passed: str = ""
    says_word: bool = False
    added: Callable[[str], Mapping[str, bytes]] = lambda word: {}
    unskipped: Callable[[str, bytes], bytes] = lambda name, data: data
    unnamed: Callable[[bytes], bytes] = lambda data: data

    def shared_setup(self, files: Mapping[str, bytes]) -> Setup:
        """The setup files among an exercise's, the same for all exercises with the same needs."""
        return tuple((name, self.unnamed(files[name])) for name in self.setup if name in files)

    def lacks(self, sandbox: Sandbox) -> str:
        """What the sandbox lacks for it, or ""."""
        told = [missing_command(sandbox, name) for name in self.needs]
        return ", ".join(name for name in told if name)


def _unnamed_crate(manifest: bytes) -> bytes:
    # Versions in later sections are those of dependencies.
    package, begin, rest = manifest.partition(b"\n[")
    package = re.sub(rb"^name\s*=.*$", b'name = "two"', package, flags=re.M)
    package = re.sub(rb"^version\s*=.*$", b'version = "0.1.0"', package, flags=re.M)
    return package + begin + rest


_PYTHON = """import os, sys, unittest
sys.path.insert(0, os.getcwd())
suite = unittest.defaultTestLoader.discover(".", pattern="*_test.py")
os.remove(__file__)
result = unittest.TextTestRunner(verbosity=1).run(suite)
if result.wasSuccessful() and result.testsRun:
    os.write(1, b"\\n{word}\\n")
sys.exit(not result.wasSuccessful())
"""
# Catch's own main, with the word after its last test.
_CATCH = """#define CATCH_CONFIG_RUNNER
#include "test/catch.hpp"
#include <cstdio>
int main(int argc, char* argv[]) {{
    const int failed = Catch::Session().run(argc, argv);
    if (failed == 0) std::puts("\\n{word}");
    return failed;
}}
"""
_RUNNERS: Mapping[str, Runner] = {
    "python": Runner(
        "python3 -I run_the_tests.py",
        ("python3",),
        {
            "two.py": b"TWO = 2\n",
            "two_test.py": b"import unittest\nfrom two import TWO\n\n"
            b"class TwoTest(unittest.TestCase):\n"
            b"    def test_two(self):\n        self.assertEqual(1 + 1, TWO)\n",
        },
        says_word=True,
        added=lambda word: {"run_the_tests.py": _PYTHON.format(word=word).encode()},
    ),
    "cpp": Runner(
        "g++ -std=c++17 -pthread -DEXERCISM_RUN_ALL_TESTS -I. -o tests *.cpp"
        " && rm run_the_tests.cpp && exec ./tests",
        ("g++",),
        {"two_test.cpp": b'#include "test/catch.hpp"\nTEST_CASE("two") { REQUIRE(1 + 1 == 2); }\n'},
        ("test/catch.hpp",),
        says_word=True,
        added=lambda word: {"run_the_tests.cpp": _CATCH.format(word=word).encode()},
    ),
    "go": Runner(
        "go test ./...",
        ("go",),
        {
            "go.mod": b"module two\n",
            "two.go": b"package two\n\nconst Two = 2\n",
            "two_test.go": b'package two\n\nimport "testing"\n\n'
            b"func TestTwo(t *testing.T) {\n\tif 1+1 != Two {\n\t\tt.Fatal()\n\t}\n}\n",
        },
        ("go.mod",),
        passed=r"^ok\s",
        unnamed=lambda data: re.sub(rb"^module .*$", b"module two", data, flags=re.M),
    ),
    "rust": Runner(
        "cargo test --offline -- --include-ignored",
        ("cargo",),
        {
            "Cargo.toml": b'[package]\nname = "two"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/lib.rs": b"pub const TWO: u32 = 2;\n",
            "tests/two.rs": b"#[test]\nfn two() {\n    assert_eq!(1 + 1, 2);\n}\n",
        },
        ("Cargo.toml",),
        passed=r"^test result: ok\. [1-9]",
        unnamed=_unnamed_crate,
    ),
    "javascript": Runner(
        "jest ./*",
        ("jest",),
        {
            "package.json": b'{"name": "two"}\n',
            "two.js": b"export const two = 2;\n",
            "two.spec.js": b"import { two } from './two';\n\n"
            b"test('two', () => { expect(1 + 1).toBe(two); });\n",
        },
        ("babel.config.js", "babel.config.cjs", "jest.config.js"),
        passed=r"^Tests:\s+[1-9]\d* passed, [1-9]\d* total$",
        unskipped=lambda name, data: (
            re.sub(rb"\bx(test|it|describe)\(", rb"\1(", data) if ".spec." in name else data
        ),
    ),
    "java": Runner(
        "gradle --offline test",
        ("gradle",),
        {
            "src/main/java/Two.java": b"class Two { static int two() { return 2; } }\n",
            "src/test/java/TwoTest.java": b"import org.junit.jupiter.api.Assertions;\n"
            b"import org.junit.jupiter.api.Test;\n\nclass TwoTest {\n"
            b"    @Test void two() { Assertions.assertEquals(1 + 1, Two.two()); }\n}\n",
        },
        ("build.gradle", "settings.gradle"),
        passed=r"^BUILD SUCCESSFUL",
        unnamed=lambda data: re.sub(rb"^rootProject\.name\b.*$", b"", data, flags=re.M),
        unskipped=lambda name, data: (
            re.sub(rb"@Disabled\([^)]*\)", b"", data) if "src/test/" in name else data
        ),
    ),
}
LANGUAGES = tuple(_RUNNERS)
# Scorers ask from many threads: the first of a language runs its trivial exercise, others wait.
_LOCKS = {language: Lock() for language in LANGUAGES}
_UNREADY: dict[tuple[Sandbox, str, Setup], str] = {}
_STOPPED: set[tuple[Sandbox, str, Setup]] = set()
