"""The languages that a sandbox can run: found by asking it, never assumed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from openk2.environments.sandbox import Limits, Sandbox


@dataclass(frozen=True)
class ProgrammingLanguage:
    """A language by its short name.

    source: file that its program is written to. compile: command that makes it runnable, if any;
    run: command that runs it. commands: every program that these two need. seconds: how long the
    compiler may take.
    """

    name: str
    title: str
    source: str
    run: tuple[str, ...]
    compile: tuple[str, ...] = ()
    seconds: float = 30.0

    @property
    def commands(self) -> tuple[str, ...]:
        """The programs that it needs, such as g++."""
        local = (command[0] for command in (self.compile, self.run) if command)
        return tuple(name for name in local if not name.startswith("./"))


_JVM = ("-Xmx512m", "-Xss64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
_LISTED = (
    ProgrammingLanguage("python", "Python", "program.py", ("python3", "-I", "program.py")),
    ProgrammingLanguage("pypy", "PyPy", "program.py", ("pypy3", "program.py")),
    ProgrammingLanguage("bash", "Bash", "program.sh", ("bash", "program.sh")),
    ProgrammingLanguage("javascript", "JavaScript", "program.js", ("node", "program.js")),
    ProgrammingLanguage(
        "typescript",
        "TypeScript",
        "program.ts",
        ("node", "program.js"),
        ("tsc", "--target", "es2020", "--module", "commonjs", "--types", "", "program.ts"),
    ),
    ProgrammingLanguage(
        "cpp",
        "C++",
        "program.cpp",
        ("./program",),
        ("g++", "-std=c++17", "-UNDEBUG", "-O1", "-o", "program", "program.cpp"),
    ),
    ProgrammingLanguage(
        "java",
        "Java",
        "Problem.java",
        ("java", *_JVM, "-ea", "-cp", ".:*", "Problem"),
        ("javac", *(f"-J{option}" for option in _JVM), "-nowarn", "-cp", ".:*", "Problem.java"),
    ),
    ProgrammingLanguage("php", "PHP", "program.php", ("php", "program.php")),
    ProgrammingLanguage(
        "csharp",
        "C#",
        "program.cs",
        ("mono", "program.exe"),
        ("mcs", "-d:DEBUG", "-r:System.Numerics.dll", "-out:program.exe", "program.cs"),
    ),
    ProgrammingLanguage("go", "Go", "program_test.go", ("go", "test", "program_test.go")),
    ProgrammingLanguage(
        "rust", "Rust", "program.rs", ("./program",), ("rustc", "-o", "program", "program.rs")
    ),
)
LANGUAGES: Mapping[str, ProgrammingLanguage] = {language.name: language for language in _LISTED}


def find_commands(sandbox: Sandbox, commands: Iterable[str]) -> set[str]:
    """Which of these programs `sandbox` has."""
    script = 'for name in "$@"; do command -v "$name" > /dev/null && echo "$name"; done; true'
    argv = ["/bin/sh", "-c", script, "sh", *sorted(set(commands))]
    return set(sandbox.run(argv, limits=Limits(seconds=20)).stdout.decode(errors="replace").split())


def find_languages(sandbox: Sandbox) -> dict[str, str]:
    """A language's name -> "" if `sandbox` runs it, else what is missing: "php: not found"."""
    found = find_commands(sandbox, (name for language in _LISTED for name in language.commands))
    return {
        language.name: ", ".join(f"{c}: not found" for c in language.commands if c not in found)
        for language in _LISTED
    }
