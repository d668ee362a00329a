"""LiveBench, the questions of its release of 2024-11-25 (arXiv 2406.19314).

Prompt: the question's only turn, zero-shot. Scoring: each task by its own public rule, no judge;
instructions are IFEval's, the mean of prompt and instruction accuracy.
Metric: mean over categories of the mean over their tasks. Temperature 0.6, output cap 8,192.
Not scored, and so not in the figure: the category coding, and tablereformat of data_analysis.
"""

from datetime import date, datetime
from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer

from openk2.data.error import DataError
from openk2.eval.answers.instructions import follows, need_langdetect
from openk2.eval.answers.livebench_rules import rule_of
from openk2.eval.answers.scoring import Answered, by_rule, scored
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, find, read_file
from openk2.eval.tasks.ifeval import instructions

RELEASE = date(2024, 11, 25)
CATEGORIES = {
    "math": ("AMPS_Hard", "math_comp", "olympiad"),
    "reasoning": ("web_of_lies_v2", "zebra_puzzle", "spatial"),
    "language": ("connections", "plot_unscrambling", "typos"),
    "data_analysis": ("cta", "tablejoin"),
    "instruction_following": ("paraphrase", "simplify", "story_generation", "summarize"),
}
NOT_SCORED = ("LCB_generation", "coding_completion", "tablereformat", "house_traversal")
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


def metadata_of(record: Record, task: str) -> dict[str, Any]:
    """What the rule needs. Raises DataError for an unknown task."""
    subtask = str(record.get("subtask") or "")
    if task in CATEGORIES["instruction_following"]:
        return {"group": task, "task": task, "instructions": instructions(record)}
    if task not in WEIGHTS:
        raise DataError(f"{record.place}: no rule for task {task!r}, only {', '.join(WEIGHTS)}")
    return {"group": task, "task": task, "subtask": subtask}


def read_samples(folder: Path) -> list[Sample]:
    """Folders by category; fields question_id, task, subtask, turns, ground_truth, the two dates,
    and of instructions instruction_id_list and kwargs."""
    samples = []
    for path in find(folder, "*"):
        for record in read_file(path):
            task = record.text("task")
            if task in NOT_SCORED or not in_release(record):
                continue
            samples.append(
                Sample(
                    id=record.text("question_id"),
                    input=record.texts("turns")[0],
                    target=str(record.get("ground_truth") or ""),
                    metadata=metadata_of(record, task),
                )
            )
    return samples


def task_rule(asked: Answered) -> Score:
    """The task's own rule, from 0 to 1."""
    if "instructions" in asked.metadata:
        wanted = asked.metadata["instructions"]
        followed = [follows(each["id"], each["kwargs"], asked.text) for each in wanted]
        share = sum(followed) / len(followed) if followed else 0.0
        return scored((all(followed) + share) / 2, asked.text, followed=followed)
    rule = rule_of(asked.metadata["task"], asked.metadata["subtask"])
    assert rule is not None  # metadata_of knows the task
    return scored(rule(asked.text, asked.reference), asked.text)


def scorer() -> Scorer:
    """The rules as a scorer. Raises ModuleNotFoundError without langdetect."""
    need_langdetect()
    return by_rule(task_rule)()


LIVEBENCH = Benchmark(
    name="livebench",
    title="LiveBench without coding and tablereformat",
    paper="https://arxiv.org/abs/2406.19314",
    protocol=Protocol(metric="Pass@1", groups=WEIGHTS),
    source=Source(
        folder="livebench",
        files=tuple(f"{category}/*" for category in CATEGORIES),
        obtain="download livebench/math, /reasoning, /language, /data_analysis and"
        " /instruction_following from the Hugging Face hub into folders of livebench/",
    ),
    read=read_samples,
    scorer=scorer,
)
