"""OJBench: problems of China's NOI and of ICPC, in C++ and Python, by execution.

Paper: https://arxiv.org/abs/2506.16395. Protocol: pass@1, zero-shot chat, the published prompts,
temperature 0.6, 8,192 tokens. The data asks each problem in both languages; the row is the mean of
the two (the README names no language). Extraction: the last block in the asked language. Metric:
every test passes by the problem's checker, in 10 seconds and 1 GiB each, as the published judge.
That judge runs Python with PyPy: so do we where pypy3 is found, otherwise the explanation says that
CPython ran. Its three skipped problems are left out. Problems that need more of DMOJ's judge, such
as an interactor or a checker in Python, are unscored here, never wrong.
"""

import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.environments import Limits, Sandbox
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.dmoj_checkers import Check, CheckerError, checker
from openk2.eval.code.extraction import extract_code
from openk2.eval.code.judged_output import Case, run_cases
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.records import Record, find, read_file
from openk2.record import DataError

LIMITS = Limits(seconds=10, memory_bytes=1 << 30, output_bytes=64 << 20)
_SKIPPED = ("nwerc2023_H", "swerc2023_L", "loj-3897")
_OWN_JUDGES = ("interactive", "signature_grader", "custom_judge", "grader")


def read(folder: Path) -> list[Sample]:
    """One sample for each problem and language of prompts/full.jsonl."""
    (prompts, *_) = find(folder, "prompts/full.jsonl")
    samples = (_sample(record, prompts.parents[1]) for record in read_file(prompts))
    return [sample for sample in samples if sample is not None]


def _sample(record: Record, folder: Path) -> Sample | None:
    number, language = record.one_of("id"), record.text("language")
    name = f"loj-{number}" if isinstance(number, int) else str(number)
    problem = folder / record.text("dataset") / name
    if name in _SKIPPED:
        return None
    if language not in ("cpp", "python") or problem.parent.parent != folder:
        raise DataError(f"{record.place}: language {language!r}, problem {name!r}")
    return Sample(
        id=f"{language}/{name}",
        input=record.text("prompt"),
        metadata={
            "group": language,
            "folder": str(problem),
            "difficulty": record.get("difficulty", ""),
        },
    )


@dataclass(frozen=True)
class FileTest:
    """One test: the names of its two files, and the checker that it asks for."""

    given: str
    expected: str
    checker: Any


@dataclass(frozen=True)
class Problem:
    """A problem's tests in order; own_judge: the kind of judge that it needs instead, if any."""

    tests: list[FileTest]
    files: Path
    archive: str = ""
    own_judge: str = ""

    def case(self, test: FileTest) -> Case:
        """Read one test. Raises OSError or KeyError if a file is missing."""
        return Case(*(_normalized(self._read(name)) for name in (test.given, test.expected)))

    def _read(self, name: str) -> bytes:
        if (self.files / name).is_file() or not self.archive:
            return (self.files / name).read_bytes()
        with zipfile.ZipFile(self.files / self.archive) as archive:
            return archive.read(name)


def _normalized(data: bytes) -> str:
    """As the published judge hands data over: lines end with a newline, the last one too."""
    text = data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def open_problem(folder: Path) -> Problem:
    """Read a problem's init.yml in DMOJ's format. Raises DataError if it is none."""
    import yaml  # inspect_ai brings it

    path = folder / "init.yml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        own = next((key for key in _OWN_JUDGES if key in config), "")
        tests = _tests(config["test_cases"], config.get("checker"))
        return Problem(tests, folder, str(config.get("archive") or ""), own)
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a problem of DMOJ's format: {error!r}") from None


def _tests(entries: list[dict[str, Any]], checker: Any) -> list[FileTest]:
    """Tests in order; one without a checker has its batch's or its problem's."""
    found = []
    for entry in entries:
        wanted = entry.get("checker", checker)
        if "batched" in entry:
            found += _tests(entry["batched"], wanted)
        else:
            found.append(FileTest(str(entry["in"]), str(entry["out"]), wanted))
    return found


def judge(sandbox: Sandbox, metadata: dict[str, Any], code: str) -> Judgement:
    """Whether `code` passes all tests of the problem. Raises DataError for broken data."""
    problem = open_problem(Path(metadata["folder"]))
    if problem.own_judge:
        return Judgement(False, missing=f"the problem's own judge ({problem.own_judge})")
    try:
        checks = _checks(sandbox, problem)
        cases = [problem.case(test) for test in problem.tests]
    except CheckerError as error:
        return Judgement(False, missing=f"the problem's own judge ({error})")
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{metadata['folder']}: {error}") from None
    by_case = {id(case): check for case, check in zip(cases, checks, strict=True)}
    return run_cases(
        sandbox,
        metadata["group"],
        code,
        cases,
        limits=LIMITS,
        check=lambda case, said: by_case[id(case)](case, said),
        pypy=True,
    )


def _checks(sandbox: Sandbox, problem: Problem) -> list[Check]:
    """The check of each test. Raises CheckerError."""
    return [checker(sandbox, problem.files, test.checker) for test in problem.tests]


@scorer(metrics=[mean()])
def passes_all() -> Scorer:
    """1 for a program that passes every test."""
    sandbox = chosen_sandbox()

    async def score(state: TaskState, target: Target) -> Score:
        language = state.metadata["group"]
        code = extract_code(state.output.completion, language)
        if language == "python" and code.count("def main():") == 1 == code.count("main()"):
            code += "\nmain()\n"  # defined and never called: the published judge calls it
        verdict = await run_aside(partial(judge, sandbox, state.metadata, code))
        return verdict.score(code)

    return score


OJBENCH = Benchmark(
    name="ojbench",
    title="OJBench",
    paper="https://arxiv.org/abs/2506.16395",
    protocol=Protocol(
        metric="Pass@1", groups={"cpp": 1.0, "python": 1.0}, runs_code=("cpp", "python")
    ),
    source=DataHome(
        folder="ojbench",
        # What is not named here is not downloaded: tests and checkers too.
        files=("prompts/full.jsonl", "NOI/*/*", "ICPC/*/*"),
        obtain="Hugging Face He-Ren/OJBench_testdata, all of it (git lfs)",
        hub="He-Ren/OJBench_testdata",
    ),
    read=read,
    scorer=passes_all,
)
