"""Programs in languages other than Python: the answer and its tests in one process.

A run counts as passed if it ends well and its last line of output is a word drawn for this run,
which stands after the tests. An early exit, a printed marker or a switched-off `assert` do not
pass. An answer that knows this file and looks for the word in its own process can: no language here
keeps a program from reading itself.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from openk2.environments import LANGUAGES, Finished, Limits, Sandbox
from openk2.eval.code.javatuples import javatuples
from openk2.eval.code.judgement import Judgement, reason_of
from openk2.eval.code.place import missing

LIMITS = Limits(seconds=15, memory_bytes=2 << 30, disk_bytes=128 << 20, processes=128)
_COMPILING = Limits(seconds=60, memory_bytes=3 << 30, disk_bytes=128 << 20, processes=128)
NOT_COMPILED = 111


@dataclass(frozen=True)
class Guard:
    """What a language's tests need so that an answer before them cannot switch them off.

    before: put before the answer. between: put where the tests begin, outside functions. say:
    statement that prints the word, `{}`. instead: what tests call, and what they call instead.
    """

    say: str
    before: str = ""
    between: str = ""
    instead: tuple[str, str] = ("", "")


_GUARDS: Mapping[str, Guard] = {
    # assert.h defines assert anew at each inclusion, by NDEBUG.
    "cpp": Guard('std::puts("{}");', between="#undef NDEBUG\n#undef assert\n#include <assert.h>\n"),
    "javascript": Guard(
        'require("node:fs").writeSync(1, "{}\\n");',
        before='Object.freeze(require("node:assert")); Object.freeze(require("node:fs"));\n',
    ),
    "typescript": Guard('require("fs").writeSync(1, "{}\\n");'),
    "java": Guard('System.out.println("{}");'),
    # Without a listener a failed Debug.Assert says nothing and goes on.
    "csharp": Guard(
        'Console.WriteLine("{}");',
        between="    static void MustHold(bool holds) { if (!holds) Environment.Exit(1); }\n",
        instead=("Debug.Assert(", "MustHold("),
    ),
    "php": Guard('fwrite(STDOUT, "{}\\n");'),
    "bash": Guard("builtin printf '%s\\n' {}"),
}


def run_program(
    sandbox: Sandbox,
    language: str,
    source: str,
    *,
    files: Mapping[str, bytes] | None = None,
    stdin: bytes = b"",
    limits: Limits = LIMITS,
) -> Finished:
    """Compile `source` if its language asks for it, and run it with `stdin`.

    An exit code of `NOT_COMPILED` says that the compiler refused it. The source is deleted before a
    compiled program runs.
    """
    known = LANGUAGES[language]
    compiling = f"{_quoted(known.compile)} >&2 || exit {NOT_COMPILED}; rm -f {known.source}; "
    script = (compiling if known.compile else "") + f"exec {_quoted(known.run)}"
    bounds = limits
    if known.compile:
        bounds = replace(
            limits,
            seconds=limits.seconds + known.seconds,
            memory_bytes=max(limits.memory_bytes, _COMPILING.memory_bytes),
        )
        script = script.replace("exec ", f"exec timeout -s KILL {limits.seconds:g} ")
    return sandbox.run(
        ["/bin/sh", "-c", script],
        {**(files or {}), known.source: source.encode()},
        limits=bounds,
        stdin=stdin,
    )


def compile_cpp(sandbox: Sandbox, source: str) -> Finished:
    """Compile C++ with -O2, as contest judges do; stdout is the program if the exit code is 0.

    For a program that runs many times: `run_compiled` takes it from here.
    """
    known = LANGUAGES["cpp"]
    compiling = _quoted((*known.compile, "-O2"))
    limits = replace(_COMPILING, output_bytes=_COMPILING.disk_bytes)
    script = f"{compiling} >&2 || exit {NOT_COMPILED}; cat program"
    return sandbox.run(["/bin/sh", "-c", script], {known.source: source.encode()}, limits=limits)


def run_compiled(sandbox: Sandbox, program: bytes, *, stdin: bytes, limits: Limits) -> Finished:
    """Run what `compile_cpp` made."""
    script = "chmod u+x program && exec ./program"
    return sandbox.run(["/bin/sh", "-c", script], {"program": program}, limits=limits, stdin=stdin)


def run_tests_after(
    sandbox: Sandbox, language: str, program: str, tests: str, *, limits: Limits = LIMITS
) -> Judgement:
    """Run `program` followed by `tests`: MultiPL-E's way, where the two make one source file."""
    lacking = missing(sandbox, language)
    if lacking:
        return Judgement(False, missing=lacking)
    word = uuid.uuid4().hex
    guard = _GUARDS[language]
    source = guard.before + program + "\n" + _with_word(language, tests, guard, word)
    files = javatuples() if "org.javatuples" in source else {}
    finished = run_program(sandbox, language, source, files=files, limits=limits)
    if finished.ok and finished.stdout.rstrip().split(b"\n")[-1] == word.encode():
        return Judgement(True)
    if finished.ok:
        return Judgement(False, "the program ended before its tests did")
    return Judgement(False, reason_of(finished))


def _with_word(language: str, tests: str, guard: Guard, word: str) -> str:
    """`tests`, guarded, that print the word after their last line."""
    say = guard.say.format(word)
    tests = tests.replace(*guard.instead) if guard.instead[0] else tests
    # Tests may begin by closing the function that the prompt opened: no directive before that.
    closing = re.match(r"\s*\}\n|", tests)
    assert closing is not None
    return closing[0] + guard.between + _ENDS[language](tests[closing.end() :], say)


def _in_last_function(tests: str, say: str, braces: int) -> str:
    """`say` before the last `braces` closing braces: at the end of main."""
    at = len(tests)
    for _ in range(braces):
        at = tests.rindex("}", 0, at)
    return f"{tests[:at]}{say}\n{tests[at:]}"


def _at_the_end(tests: str, say: str) -> str:
    return f"{tests}\n{say}\n"


_ENDS: Mapping[str, Callable[[str, str], str]] = {
    **dict.fromkeys(("javascript", "typescript", "php", "bash"), _at_the_end),
    "cpp": lambda tests, say: _in_last_function(tests, say, 1),
    "java": lambda tests, say: _in_last_function(tests, say, 2),
    "csharp": lambda tests, say: _in_last_function(tests, say, 2),
}


def _quoted(command: tuple[str, ...]) -> str:
    # `*` of a class path is Java's, not the shell's.
    return " ".join(f"'{word}'" for word in command)
