"""Programs of other languages: right ones pass; early exits, markers and muted asserts do not."""

import pytest

from code_answers import best_sandbox
from openk2.environments import LANGUAGES, Limits, find_languages
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.programs import run_tests_after
from openk2.eval.code.whole_program import function_name, whole_program

# Not bits/stdc++.h, which the published prompts include: it takes seconds to compile.
CPP = "#include<assert.h>\n#include<cstdio>\n#include<cstdlib>\n// Twice x.\nlong twice(long x) {\n"
CPP_TESTS = "}\nint main() {\n    auto candidate = twice;\n    assert(candidate((2)) == (4));\n}\n"
JAVA = (
    "import java.util.*;\nimport org.javatuples.*;\nclass Problem {\n    // Twice x.\n"
    "    public static Pair<Long, Long> twice(long x) {\n"
)
JAVA_TESTS = (
    "    }\n    public static void main(String[] args) {\n"
    "    assert(twice((2l)).equals((Pair.with(2l, 4l))));\n    }\n\n}\n"
)
JS = "//Twice x.\nfunction twice(x){\n"
JS_TESTS = (
    "const assert = require('node:assert');\n\n\nfunction test() {\n  let candidate = twice;\n"
    "  assert.deepEqual(candidate(2),4);\n}\n\ntest();"
)
BASH = "#!/bin/bash\n# Twice x.\n#\n# $1 is an integer\ntwice() {\n"
BASH_TESTS = (
    '}\n\ncandidate() {\n    twice "$@"\n}\n\nset -e\nrun_test() {\n'
    '    [[ $(candidate "2") = "4" ]]\n}\n\nrun_test\n'
)
PROBLEMS = {
    "cpp": (CPP, CPP_TESTS),
    "java": (JAVA, JAVA_TESTS),
    "javascript": (JS, JS_TESTS),
    "bash": (BASH, BASH_TESTS),
}
RIGHT = [
    ("cpp", "    return 2 * x;\n"),
    ("cpp", "long twice(long x) {\n    return x + x;\n}"),
    (
        "cpp",
        '#include <string>\nlong twice(long x) { return x + x; }\nint main() { puts("4"); }',
    ),
    ("java", "        return Pair.with(x, 2 * x);\n"),
    ("java", "public static Pair<Long, Long> twice(long x) { return new Pair<>(x, 2 * x); }"),
    (
        "java",
        'import java.util.List;\npublic class Problem {\n  // } "\n  public static '
        'Pair<Long, Long> twice(long x) { String s = "}"; return Other.make(x); }\n  public '
        'static void main(String[] args) { System.out.println("{"); }\n}\nclass Other {\n'
        "  static Pair<Long, Long> make(long x) { return Pair.with(x, x + x); }\n}",
    ),
    ("javascript", "    return x > 0 ? 2 + twice(x - 1) : 0;\n}"),
    ("cpp", "    if (x == 0) {\n        return 0;\n    }\n    return 2 + twice(x - 1);\n"),
    ("javascript", "function twice(x) {\n  return 2 * x;\n}\nconsole.log(twice(1));"),
    ("javascript", "const twice = (x) => 2 * x;"),
    ("bash", "    echo $((2 * $1))\n"),
    ("bash", "twice() {\n    echo $(($1 + $1))\n}"),
]
WRONG = [
    ("cpp", "    return x;\n"),
    ("cpp", "    exit(0);\n"),
    ("cpp", "#define NDEBUG\n#include <assert.h>\nlong twice(long x) { return x; }"),
    ("cpp", "#undef assert\n#define assert(x) ((void)0)\nlong twice(long x) { return x; }"),
    ("cpp", 'struct A { A() { puts("ok"); _Exit(0); } } a;\nlong twice(long x) { return x; }'),
    ("cpp", "long twice(long x) { return x"),
    ("java", "        return Pair.with(x, x);\n"),
    ("java", "        System.exit(0); return null;\n"),
    ("java", "        Runtime.getRuntime().halt(0); return null;\n"),
    (
        "java",
        'static { System.out.println("passed"); System.exit(0); }\n'
        "public static Pair<Long, Long> twice(long x) { return null; }",
    ),
    ("javascript", "    return x;\n}"),
    ("javascript", "    process.exit(0);\n}"),
    ("javascript", "    return x;\n}\nrequire('node:assert').deepEqual = () => {};"),
    ("javascript", "    return x;\n}\nprocess.on('uncaughtException', () => process.exit(0));"),
    ("javascript", "    return x;\n}\nprocess.reallyExit(0);"),
    ("bash", "    echo $1\n"),
    ("bash", "twice() {\n    echo $1\n}\nexit 0"),
    ("bash", "twice() {\n    echo $1\n}\ntrap 'echo passed; exit 0' EXIT"),
    ("bash", "twice() {\n    kill -9 $$\n}"),
]


def verdict(language: str, answer: str) -> Judgement:
    sandbox = best_sandbox()
    lacking = find_languages(sandbox)[language]
    if lacking:
        pytest.skip(lacking)
    prompt, tests = PROBLEMS[language]
    return run_tests_after(sandbox, language, *whole_program(language, prompt, answer, tests))


@pytest.mark.parametrize(("language", "answer"), RIGHT)
def test_a_right_answer_passes_in_whatever_form(language: str, answer: str) -> None:
    result = verdict(language, answer)
    assert result.passed, result.reason


@pytest.mark.parametrize(("language", "answer"), WRONG)
def test_a_wrong_answer_does_not_pass(language: str, answer: str) -> None:
    result = verdict(language, answer)
    assert not result.passed
    assert not result.missing


def test_an_endless_program_fails_by_time() -> None:
    program, tests = whole_program("bash", BASH, "    while :; do :; done\n", BASH_TESTS)
    limits = Limits(seconds=1)
    assert (
        run_tests_after(best_sandbox(), "bash", program, tests, limits=limits).reason
        == "time limit"
    )


def test_a_missing_compiler_is_named_and_decides_nothing() -> None:
    sandbox = best_sandbox()
    lacking = {name: told for name, told in find_languages(sandbox).items() if told}
    if not set(lacking) & {"php", "csharp", "typescript"}:
        pytest.skip("this machine runs every language")
    name = next(name for name in ("php", "csharp", "typescript") if name in lacking)
    result = run_tests_after(sandbox, name, "", "")
    assert result.missing == lacking[name]
    assert LANGUAGES[name].commands[0] in result.missing
    assert result.missing.endswith("not found")


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        (CPP, "twice"),
        (JAVA, "twice"),
        (BASH, "twice"),
        ("function f_1($x) {\n", "f_1"),
        ("    public static List<Tuple<long, long>> F(List<long> a) {\n", "F"),
        ("function g(a: number, b: () => void): string {\n", "g"),
        ("std::vector<std::string> h(std::map<int, int> (m)) {\n", "h"),
    ],
)
def test_the_open_function_of_a_prompt(prompt: str, name: str) -> None:
    assert function_name(prompt) == name
