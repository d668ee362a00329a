"""Every code scorer against its reference answers, which must pass, and mutants, which must not.

python benchmarks/code_scorers.py [DATA]     DATA: a folder with multipl-e/ and mbpp/

Prints a line for each set: how many passed of how many, seconds for each program; the names of
those that should have and did not, or should not have and did. Exit code 1 if there is one.
"""

import ast
import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests"))

from inspect_ai.dataset import Sample  # noqa: E402

from code_references import REFERENCES, made_up_files, python_mutants  # noqa: E402
from openk2.eval.code.judgement import Judgement  # noqa: E402
from openk2.eval.code.place import chosen_sandbox, missing  # noqa: E402
from openk2.eval.code.python_tests import run_python_tests  # noqa: E402
from openk2.eval.tasks import multipl_e  # noqa: E402

Judged = Iterable[tuple[str, Callable[[], Judgement]]]


def report(title: str, should_pass: bool, judged: Judged) -> bool:
    """Judge and print one line, and one for each surprise. Returns whether there was none."""
    start, total, surprises = time.monotonic(), 0, []
    for name, judge in judged:
        verdict = judge()
        total += 1
        if verdict.passed is not should_pass or verdict.missing:
            surprises.append(f"  {name}: {verdict.missing or verdict.reason or 'passed'}"[-300:])
    seconds = (time.monotonic() - start) / max(total, 1)
    wanted = "pass" if should_pass else "fail"
    print(
        f"{title:40} {wanted} {total - len(surprises)} of {total}, {seconds:.2f} s each", flush=True
    )
    for line in surprises:
        print(line)
    return not surprises


def humaneval(samples: list[Sample]) -> bool:
    """All canonical solutions, and four mutants of each."""
    sandbox = chosen_sandbox()
    python = [s.metadata | {"id": s.id, "body": s.target} for s in samples if s.metadata]
    python = [row for row in python if row["group"] == "python"]

    def judge(row: dict, code: str) -> Callable[[], Judgement]:
        return lambda: multipl_e.judge(sandbox, row, code)

    good = report(
        "HumanEval, canonical", True, ((r["id"], judge(r, r["prompt"] + r["body"])) for r in python)
    )
    mutants: dict[str, list] = {}
    for row in python:
        name = re.findall(r"^def (\w+)", row["declaration"], re.M)[-1]
        for kind, code in python_mutants(name, row["prompt"] + row["body"]).items():
            mutants.setdefault(kind, []).append((row["id"], judge(row, code)))
    for kind, judged in mutants.items():
        good &= report(f"HumanEval, {kind}", False, judged)
    return good


def languages(samples: list[Sample]) -> bool:
    """Ten hand-written references of each other language, and a mutant of each."""
    sandbox, good = chosen_sandbox(), True
    by_id = {str(sample.id): sample.metadata for sample in samples}
    for language in multipl_e.GROUPS:
        lacking = missing(sandbox, language)
        if lacking:
            print(f"MultiPL-E {language:30} not run: {lacking}")
            continue
        for should_pass, index in ((True, 0), (False, 1)):
            judged = [
                (
                    name,
                    lambda m=by_id[f"{language}/{name}"], c=pair[index]: multipl_e.judge(
                        sandbox, m, c
                    ),
                )
                for name, pair in REFERENCES.get(language, {}).items()
            ]
            kind = "references" if should_pass else "mutants"
            if judged:
                good &= report(f"MultiPL-E {language}, {kind}", should_pass, judged)
    return good


def mbpp(path: Path) -> bool:
    """All reference solutions against their tests, and two mutants of 200 of them."""
    sandbox = chosen_sandbox()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def judge(row: dict, code: str) -> Callable[[], Judgement]:
        names = [node.name for node in ast.parse(row["code"]).body if hasattr(node, "name")]
        # Its tests use modules that its solutions import.
        imports = re.findall(r"^(?:import|from) .*$", row["code"], re.M)
        prelude = "\n".join(imports)
        tests = "\n".join([row["test_setup_code"], *row["test_list"]])
        return lambda: run_python_tests(
            sandbox, solution=code, tests=tests, names=names, prelude=prelude
        )

    references = ((str(row["task_id"]), judge(row, row["code"])) for row in rows)
    some = random.Random(14).sample(rows, 200)
    early = (
        (str(row["task_id"]), judge(row, row["code"] + "\nraise SystemExit(0)")) for row in some
    )
    empty = ((str(row["task_id"]), judge(row, "")) for row in some)
    results = (
        report("MBPP, references", True, references),
        report("MBPP, exits early", False, early),
        report("MBPP, empty", False, empty),
    )
    return all(results)


def main() -> None:
    """Judge all that the folder has."""
    shared = Path(os.environ.get("OPENK2_SHARED", REPOSITORY.parent / "shared"))
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else shared / "data/benchmarks"
    print(f"sandbox: {chosen_sandbox().name}")
    with tempfile.TemporaryDirectory() as folder:
        for path in (data / "multipl-e").glob("humaneval-*.jsonl"):
            (Path(folder) / path.name).symlink_to(path.resolve())
        for name, text in made_up_files().items():
            (Path(folder) / name).write_text(text)
        samples = multipl_e.read(Path(folder))
        good = [languages(samples), humaneval(samples), mbpp(data / "mbpp/mbpp.jsonl")]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
