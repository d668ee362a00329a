"""Hand-written reference solutions of MultiPL-E problems, each with a mutant that is wrong."""

import json
from typing import Any

# language -> problem -> (right, wrong): bodies that continue the prompt, or whole functions.
REFERENCES: dict[str, dict[str, tuple[str, str]]] = {
    "cpp": {
        "HumanEval_23_strlen": ("    return string.size();\n", "    return string.size() + 1;\n"),
        "HumanEval_53_add": ("    return x + y;\n", "    return x - y;\n"),
        "HumanEval_35_max_element": (
            "long max_element(std::vector<long> l) {\n"
            "    return *std::max_element(l.begin(), l.end());\n}",
            "long max_element(std::vector<long> l) {\n"
            "    return *std::min_element(l.begin(), l.end());\n}",
        ),
        "HumanEval_24_largest_divisor": (
            "    long d = n - 1;\n    while (n % d) d--;\n    return d;\n",
            "    long d = n;\n    while (n % d) d--;\n    return d;\n",
        ),
        "HumanEval_41_car_race_collision": ("    return n * n;\n", "    return n + n + 1;\n"),
        "HumanEval_45_triangle_area": ("    return a * h / 2.0f;\n", "    return a * h;\n"),
        "HumanEval_55_fib": (
            "    return n < 2 ? n : fib(n - 1) + fib(n - 2);\n",
            "    return n < 2 ? 1 : fib(n - 1) + fib(n - 2);\n",
        ),
        "HumanEval_60_sum_to_n": ("    return n * (n + 1) / 2;\n", "    return n * (n - 1) / 2;\n"),
        "HumanEval_42_incr_list": (
            "    for (auto& value : l) value++;\n    return l;\n",
            "    for (auto value : l) value++;\n    return l;\n",
        ),
        "HumanEval_8_sum_product": (
            "    long s = 0, p = 1;\n    for (long v : numbers) { s += v; p *= v; }\n"
            "    return std::make_tuple(s, p);\n",
            "    long s = 0, p = 0;\n    for (long v : numbers) { s += v; p *= v; }\n"
            "    return std::make_tuple(s, p);\n",
        ),
    },
    "java": {
        "HumanEval_23_strlen": ("        return string.length();\n", "        return 0L;\n"),
        "HumanEval_53_add": ("        return x + y;\n", "        return x * y;\n"),
        "HumanEval_35_max_element": (
            "        return Collections.max(l);\n",
            "        return l.get(0);\n",
        ),
        "HumanEval_24_largest_divisor": (
            "        long d = n - 1;\n        while (n % d != 0) d--;\n        return d;\n",
            "        long d = n - 1;\n        while (n % d == 0) d--;\n        return d;\n",
        ),
        "HumanEval_41_car_race_collision": (
            "class Problem {\n    public static long carRaceCollision(long n) {\n"
            "        return n * n;\n    }\n}",
            "class Problem {\n    public static long carRaceCollision(long n) {\n"
            "        return n;\n    }\n}",
        ),
        "HumanEval_45_triangle_area": (
            "        return a * h / 2f;\n",
            "        return a + h / 2f;\n",
        ),
        "HumanEval_55_fib": (
            "        return n < 2 ? n : fib(n - 1) + fib(n - 2);\n",
            "        return n < 2 ? n : fib(n - 1) + 1;\n",
        ),
        "HumanEval_28_concatenate": (
            '        return String.join("", strings);\n',
            '        return String.join(" ", strings);\n',
        ),
        "HumanEval_42_incr_list": (
            "        l.replaceAll(v -> v + 1);\n        return l;\n",
            "        return l;\n",
        ),
        "HumanEval_8_sum_product": (
            "        long s = 0, p = 1;\n        for (long v : numbers) { s += v; p *= v; }\n"
            "        return Pair.with(s, p);\n",
            "        long s = 0, p = 1;\n        for (long v : numbers) { s += v; p *= v; }\n"
            "        return Pair.with(p, s);\n",
        ),
    },
    "javascript": {
        "HumanEval_23_strlen": ("  return string.length;\n}", "  return string;\n}"),
        "HumanEval_53_add": ("  return x + y;\n}", "  return `${x}${y}`;\n}"),
        "HumanEval_35_max_element": (
            "function max_element(l) {\n  return Math.max(...l);\n}",
            "function max_element(l) {\n  return l.length;\n}",
        ),
        "HumanEval_24_largest_divisor": (
            "  let d = n - 1;\n  while (n % d) d--;\n  return d;\n}",
            "  let d = 1;\n  while (n % d) d++;\n  return d;\n}",
        ),
        "HumanEval_41_car_race_collision": ("  return n ** 2;\n}", "  return n;\n}"),
        "HumanEval_45_triangle_area": ("  return a * h / 2;\n}", "  return a * h / 3;\n}"),
        "HumanEval_55_fib": (
            "  return n < 2 ? n : fib(n - 1) + fib(n - 2);\n}",
            "  return n < 2 ? n : fib(n - 1) + fib(n - 1);\n}",
        ),
        "HumanEval_28_concatenate": ("  return strings.join('');\n}", "  return strings;\n}"),
        "HumanEval_42_incr_list": (
            "const incr_list = (l) => l.map((v) => v + 1);",
            "const incr_list = (l) => l.map((v) => v);",
        ),
        "HumanEval_8_sum_product": (
            "  return [numbers.reduce((a, b) => a + b, 0), numbers.reduce((a, b) => a * b, 1)];\n}",
            "  return [numbers.reduce((a, b) => a + b, 0), numbers.reduce((a, b) => a * b, 0)];\n}",
        ),
    },
    "php": {
        "HumanEval_28_concatenate": (
            "    return implode('', $strings);\n}",
            "    return implode(' ', $strings);\n}",
        ),
        "HumanEval_53_add": ("    return $x + $y;\n}", "    return $x . $y;\n}"),
        "HumanEval_35_max_element": (
            "function max_element($l) {\n    return max($l);\n}",
            "function max_element($l) {\n    return $l[0];\n}",
        ),
        "HumanEval_24_largest_divisor": (
            "    $d = $n - 1;\n    while ($n % $d) $d--;\n    return $d;\n}",
            "    $d = $n;\n    while ($n % $d) $d--;\n    return $d;\n}",
        ),
        "HumanEval_41_car_race_collision": ("    return $n ** 2;\n}", "    return $n * 2;\n}"),
        "HumanEval_45_triangle_area": (
            "    return $a * $h / 2.0;\n}",
            "    return intdiv($a * $h, 2);\n}",
        ),
        "HumanEval_55_fib": (
            "    return $n < 2 ? $n : fib($n - 1) + fib($n - 2);\n}",
            "    return $n < 2 ? 1 : fib($n - 1) + fib($n - 2);\n}",
        ),
        "HumanEval_60_sum_to_n": (
            "    return intdiv($n * ($n + 1), 2);\n}",
            "    return intdiv($n * $n, 2);\n}",
        ),
        "HumanEval_42_incr_list": (
            "    return array_map(fn($v) => $v + 1, $l);\n}",
            "    foreach ($l as $v) $v++;\n    return $l;\n}",
        ),
        "HumanEval_8_sum_product": (
            "    return array(array_sum($numbers), array_product($numbers));\n}",
            "    return array(array_product($numbers), array_sum($numbers));\n}",
        ),
    },
    "csharp": {
        "HumanEval_23_strlen": ("        return str.Length;\n", "        return 3L;\n"),
        "HumanEval_53_add": ("        return x + y;\n", "        return x | y;\n"),
        "HumanEval_35_max_element": ("        return l.Max();\n", "        return l.Last();\n"),
        "HumanEval_24_largest_divisor": (
            "        long d = n - 1;\n        while (n % d != 0) d--;\n        return d;\n",
            "        long d = 2;\n        while (n % d != 0) d++;\n        return d;\n",
        ),
        "HumanEval_41_car_race_collision": ("        return n * n;\n", "        return n + n;\n"),
        "HumanEval_45_triangle_area": (
            "        return a * h / 2.0f;\n",
            "        return a * h / 2;\n",
        ),
        "HumanEval_55_fib": (
            "        return n < 2 ? n : Fib(n - 1) + Fib(n - 2);\n",
            "        return n < 2 ? 1 : Fib(n - 1) + Fib(n - 2);\n",
        ),
        "HumanEval_60_sum_to_n": (
            "        return n * (n + 1) / 2;\n",
            "        return n * (n - 1) / 2;\n",
        ),
        "HumanEval_42_incr_list": (
            "        return l.Select(v => v + 1).ToList();\n",
            "        return l.Select(v => v + 2).ToList();\n",
        ),
        "HumanEval_8_sum_product": (
            "        return Tuple.Create(numbers.Sum(), numbers.Aggregate(1L, (a, b) => a * b));\n",
            "        return Tuple.Create(numbers.Sum(), numbers.Aggregate(0L, (a, b) => a * b));\n",
        ),
    },
}

# Bash: (comment, name, right, wrong, arguments -> what is printed), in the published format.
_BASH = (
    ("length of a string", "strlen", "    echo ${#1}\n", "    echo 1\n", {"": "0", "abc": "3"}),
    ("sum", "add", "    echo $(($1 + $2))\n", "    echo $1 + $2\n", {"2 3": "5", "-1 1": "0"}),
    (
        "largest of a list",
        "largest",
        "    tr ' ' '\\n' <<< \"$*\" | sort -n | tail -1\n",
        "    echo $1\n",
        {"1 20 3": "20"},
    ),
    ("square", "square", "    echo $(($1 * $1))\n", "    echo $(($1 + $1))\n", {"3": "9"}),
    (
        "Fibonacci",
        "fib",
        '    (($1 < 2)) && echo "$1" || echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2)))))\n',
        "    echo $(($1 * 2))\n",
        {"8": "21", "1": "1"},
    ),
    ("sum to n", "sum_to_n", "    echo $(($1 * ($1 + 1) / 2))\n", "    echo $1\n", {"10": "55"}),
    (
        "list plus one",
        "incr",
        '    local out=()\n    for v in $1; do out+=($((v + 1))); done\n    echo "${out[*]}"\n',
        "    echo $1\n",
        {"'1 2 3'": "2 3 4"},
    ),
    ("reverse a text", "backwards", "    rev <<< $1\n", "    echo $1\n", {"abc": "cba"}),
    (
        "is it even",
        "even",
        "    (($1 % 2)) && echo false || echo true\n",
        "    echo true\n",
        {"2": "true", "3": "false"},
    ),
    (
        "count words",
        "words",
        "words() {\n    wc -w <<< $1 | tr -d ' '\n}",
        "words() {\n    wc -c <<< $1 | tr -d ' '\n}",
        {"'a b c'": "3"},
    ),
)


def bash_records() -> list[dict[str, Any]]:
    """The Bash problems as rows of humaneval-sh."""
    rows = []
    for comment, name, _, _, cases in _BASH:
        checks = "".join(
            f'    [[ $(candidate {given or chr(34) * 2}) = "{told}" ]]\n'
            for given, told in cases.items()
        )
        tests = (
            f'}}\n\ncandidate() {{\n    {name} "$@"\n}}\n\nset -e\n'
            f"run_test() {{\n{checks}}}\n\nrun_test\n"
        )
        prompt = f"#!/bin/bash\n# {comment}\n#\n# $1 is an argument\n{name}() {{\n"
        rows.append({"name": f"HumanEval_{name}", "prompt": prompt, "tests": tests})
    return rows


REFERENCES["bash"] = {f"HumanEval_{name}": (right, wrong) for _, name, right, wrong, _ in _BASH}

# TypeScript: (signature, right, wrong, arguments -> value), in the published format.
_TYPESCRIPT = (
    ("strlen(text: string): number", "return text.length;", "return 3;", {'""': "0", '"ab"': "2"}),
    ("add(x: number, y: number): number", "return x + y;", "return x - y;", {"2, 3": "5"}),
    (
        "largest(l: number[]): number",
        "return Math.max(...l);",
        "return l[0];",
        {"[1, 20, 3]": "20"},
    ),
    ("square(n: number): number", "return n ** 2;", "return n * 2;", {"3": "9"}),
    (
        "fib(n: number): number",
        "return n < 2 ? n : fib(n - 1) + fib(n - 2);",
        "return n;",
        {"8": "21", "1": "1"},
    ),
    (
        "longest(words: string[]): string | undefined",
        "return [...words].sort((a, b) => b.length - a.length)[0];",
        "return words[0];",
        {"[]": "undefined", '["a", "bcd", "ef"]': '"bcd"'},
    ),
    (
        "incr(l: number[]): number[]",
        "return l.map((v) => v + 1);",
        "return l;",
        {"[1, 2]": "[2, 3]"},
    ),
    (
        "backwards(text: string): string",
        'return [...text].reverse().join("");',
        "return text;",
        {'"abc"': '"cba"'},
    ),
    (
        "even(n: number): boolean",
        "return n % 2 === 0;",
        "return true;",
        {"2": "true", "3": "false"},
    ),
    (
        "counts(text: string): {[key: string]: number}",
        "const found: {[key: string]: number} = {};\n"
        "  for (const c of text) found[c] = (found[c] ?? 0) + 1;\n  return found;",
        "return {};",
        {'"aab"': '{"a": 2, "b": 1}'},
    ),
)


def typescript_records() -> list[dict[str, Any]]:
    """The TypeScript problems as rows of humaneval-ts."""
    rows = []
    for signature, _, _, cases in _TYPESCRIPT:
        name = signature.partition("(")[0]
        checks = "".join(
            f"  assert.deepEqual(candidate({given}),{value});\n" for given, value in cases.items()
        )
        tests = (
            "declare var require: any;\nconst assert = require('node:assert');\n\n\n"
            f"function test() {{\n  let candidate = {name};\n{checks}}}\n\ntest();"
        )
        prompt = f"//What the name says\nfunction {signature} {{\n"
        rows.append({"name": f"HumanEval_{name}", "prompt": prompt, "tests": tests})
    return rows


REFERENCES["typescript"] = {
    f"HumanEval_{signature.partition('(')[0]}": (f"  {right}\n}}", f"  {wrong}\n}}")
    for signature, right, wrong, _ in _TYPESCRIPT
}


def made_up_files() -> dict[str, str]:
    """Both languages' rows as files in the published format: name -> content."""
    made = {"humaneval-sh.jsonl": bash_records(), "humaneval-ts.jsonl": typescript_records()}
    return {name: "".join(json.dumps(row) + "\n" for row in rows) for name, rows in made.items()}


def python_mutants(name: str, body: str) -> dict[str, str]:
    """Wrong programs made of a right one, by kind; `name` is the function that is tested."""
    whole = body + "\n"
    return {
        "returns nothing": whole + f"\n_f = {name}\ndef {name}(*a, **k): _f(*a, **k)\n",
        "returns a pair": whole + f"\n_f = {name}\ndef {name}(*a, **k): return (_f(*a, **k), 0)\n",
        "exits early": whole + "\nimport os\nos._exit(0)\n",
        "equals everything": f"{whole}\nclass _E:\n    def __eq__(self, other): return True\n"
        f"    def __getattr__(self, n): return _E()\ndef {name}(*a, **k): return _E()\n",
    }
