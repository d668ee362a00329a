"""LiveBench, the questions of its release of 2024-11-25 (arXiv 2406.19314).

Prompt: the question's only turn, zero-shot. Scoring: each task by its own public rule, no judge;
instructions are IFEval's, the mean of prompt and instruction accuracy; coding is LiveCodeBench's,
with the prompt's beginning put before a completion that leaves it out.
Metric: mean over the six categories of the mean over their tasks. Temperature 0.6, output cap
8,192. The task house_traversal was withdrawn before the release.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean
from inspect_ai.scorer import scorer as inspect_scorer
from inspect_ai.solver import TaskState

from openk2.environments import Sandbox
from openk2.eval.answers.instructions import follows, need_langdetect
from openk2.eval.answers.livebench_rules import rule_of
from openk2.eval.answers.livebench_tables import asked_format, read_table, same_table
from openk2.eval.answers.scoring import GivenAnswer, by_rule, scored
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.code.contest_tests import judge_by_tests
from openk2.eval.code.extraction import extract_code
from openk2.eval.code.judgement import Judgement
from openk2.eval.code.place import chosen_sandbox, run_aside
from openk2.eval.records import Record, find, read_file
from openk2.eval.tasks.ifeval import instructions
from openk2.record import DataError

RELEASE = date(2024, 11, 25)
CATEGORIES = {
    "math": ("AMPS_Hard", "math_comp", "olympiad"),
    "reasoning": ("web_of_lies_v2", "zebra_puzzle", "spatial"),
    "language": ("connections", "plot_unscrambling", "typos"),
    "data_analysis": ("cta", "tablejoin", "tablereformat"),
    "instruction_following": ("paraphrase", "simplify", "story_generation", "summarize"),
    "coding": ("LCB_generation", "coding_completion"),
}
WITHDRAWN = "house_traversal"
WEIGHTS = {task: 1 / len(tasks) for tasks in CATEGORIES.values() for task in tasks}


def day(value: Any) -> date | None:
    """A date of the file, None if it is empty."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    return date.fromisoformat(str(value)[:10]) if value else None


def in_release(record: Record) -> bool:
    """Whether the question was there on that day."""
    try:
        added = day(record.one_of("livebench_release_date"))
        removed = day(record.get("livebench_removal_date"))
    except ValueError as error:
        raise DataError(f"{record.place}: {error}: a date must be such as 2024-11-25") from None
    return (added is None or added <= RELEASE) and (removed is None or removed > RELEASE)


def metadata_of(record: Record, task: str, path: Path) -> dict[str, Any]:
    """What the rule needs. Raises DataError for an unknown task or a broken reference."""
    if task not in WEIGHTS:
        raise DataError(f"{record.place}: no rule for task {task!r}, only {', '.join(WEIGHTS)}")
    asked = {"group": task, "task": task}
    if task in CATEGORIES["instruction_following"]:
        return asked | {"instructions": instructions(record)}
    if task in CATEGORIES["coding"]:
        # Tests of a problem can have megabytes: samples hold where they lie.
        partial_solution = str(record.get("partial_solution") or "")
        return (
            asked
            | {"file": str(path), "id": record.text("question_id")}
            | ({"begins": partial_solution} if partial_solution else {})
        )
    if task == "tablereformat":
        try:
            form = asked_format(record.texts("turns")[0])
            read_table(record.text("ground_truth"), form)
        except ValueError as error:
            raise DataError(f"{record.place}: {error}") from None
        return asked | {"format": form}
    return asked | {"subtask": str(record.get("subtask") or "")}


def read_samples(folder: Path) -> list[Sample]:
    """Folders by category; fields question_id, task, subtask, turns, ground_truth, the two dates;
    of instructions instruction_id_list and kwargs; of coding partial_solution, the two fields of
    test cases and original_json."""
    samples = []
    for path in find(folder, "*"):
        for record in read_file(path):
            task = record.text("task")
            if task == WITHDRAWN or not in_release(record):
                continue
            samples.append(
                Sample(
                    id=record.text("question_id"),
                    input=record.texts("turns")[0],
                    target=str(record.get("ground_truth") or ""),
                    metadata=metadata_of(record, task, path),
                )
            )
    return samples


def task_rule(asked: GivenAnswer) -> Score:
    """The task's own rule, from 0 to 1."""
    if "instructions" in asked.metadata:
        wanted = asked.metadata["instructions"]
        followed = [follows(each["id"], each["kwargs"], asked.text) for each in wanted]
        share = sum(followed) / len(followed) if followed else 0.0
        return scored((all(followed) + share) / 2, asked.text, followed=followed)
    if asked.metadata["task"] == "tablereformat":
        same = same_table(asked.text, asked.reference, asked.metadata["format"])
        return scored(same, asked.text)
    rule = rule_of(asked.metadata["task"], asked.metadata["subtask"])
    assert rule is not None  # metadata_of knows the task
    return scored(rule(asked.text, asked.reference), asked.text)


@lru_cache(maxsize=2)
def problems(path: str) -> Mapping[str, Record]:
    """The problems of a file of the category coding, by their ids."""
    return {record.text("question_id"): record for record in read_file(Path(path))}


def program_of(metadata: Mapping[str, Any], answer: str) -> str:
    """The program of an answer; a completion may leave out what its prompt began."""
    code, begins = extract_code(answer, "python"), str(metadata.get("begins", ""))
    return code if code.startswith(begins) else f"{begins}\n{code}"


def judge(sandbox: Sandbox, metadata: Mapping[str, Any], code: str) -> Judgement:
    """Whether `code` passes all tests of its problem. Raises DataError for a broken file."""
    problem = problems(metadata["file"])[metadata["id"]]
    original = problem.one_of("original_json")
    return judge_by_tests(sandbox, problem, (original or {}).get("metadata") or "{}", code)


@inspect_scorer(metrics=[mean()], name="livebench")
def scorer() -> Scorer:
    """The rules, and for coding the tests. Raises ModuleNotFoundError without langdetect."""
    need_langdetect()
    sandbox, by_text = chosen_sandbox(), by_rule(task_rule)()

    async def score(state: TaskState, target: Target) -> Score | None:
        if state.metadata["task"] not in CATEGORIES["coding"]:
            return await by_text(state, target)
        code = program_of(state.metadata, state.output.completion)
        verdict = await run_aside(partial(judge, sandbox, state.metadata, code))
        return verdict.score(code)

    return score


LIVEBENCH = Benchmark(
    name="livebench",
    title="LiveBench",
    paper="https://arxiv.org/abs/2406.19314",
    protocol=Protocol(metric="Pass@1", groups=WEIGHTS, runs_code=("python",)),
    source=DataHome(
        folder="livebench",
        files=tuple(f"{category}/*" for category in CATEGORIES),
        obtain="download livebench/math, /reasoning, /language, /data_analysis, /coding and"
        " /instruction_following from the Hugging Face hub into folders of livebench/",
    ),
    read=read_samples,
    scorer=scorer,
)
