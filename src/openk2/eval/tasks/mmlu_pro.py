"""MMLU-Pro: 12,032 questions of 14 subjects with up to ten options (arXiv 2406.01574).

Chat: zero-shot with reasoning; the letter after `Answer:`, boxed or otherwise announced. A text
without a letter is wrong (the paper's code guesses there). Exact match, temperature 0.6, cap 8,192.
Base: five worked questions of the subject from the validation set, with their reasoning, then the
question; the letter that "the answer is" announces. Exact match, 5-shot, greedy, cap 2,048. No
judge.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import choice_question, letter_of, listed
from openk2.eval.answers.scoring import by_rule, choice_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

SHOTS = 5
LEAD = "Let's think step by step."


def options(record: Record) -> list[str]:
    """The options that are given; the file fills missing ones with N/A."""
    return [option for option in record.texts("options") if option != "N/A"]


def worked(record: Record, reasoning: str = "") -> str:
    """A question in the base prompt; a shot has its reasoning."""
    asked = f"Question: {record.text('question').strip()}\nOptions:\n{listed(options(record))}\n"
    said = reasoning.strip().removeprefix("A:").strip().removeprefix(LEAD).strip()
    return f"{asked}Answer: {LEAD}" + (f" {said}\n\n" if said else "")


def validation(folder: Path) -> dict[str, str]:
    """Subject -> five worked questions. Raises DataError for a subject with fewer."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in read(folder, "*validation*"):
        found[record.text("category")].append(record)
    for category, records in found.items():
        if len(records) < SHOTS:
            raise DataError(f"{records[0].place}: {category} has {len(records)} worked questions")
    return {
        category: "".join(worked(shot, shot.text("cot_content")) for shot in records[:SHOTS])
        for category, records in found.items()
    }


def read_samples(folder: Path, *, base: bool) -> list[Sample]:
    """Fields question_id, question, options, answer (a letter), category, cot_content."""
    shots = validation(folder) if base else {}
    samples = []
    for record in read(folder, "*test*"):
        category, count = record.text("category"), len(options(record))
        if base and category not in shots:
            raise DataError(f"{record.place}: no worked questions of {category!r}")
        question = choice_question(record.text("question"), options(record))
        samples.append(
            Sample(
                id=f"mmlu-pro-{record.text('question_id')}",
                input=shots[category] + worked(record) if base else question,
                target=letter_of(record, count, "answer"),
                metadata={"options": count, "subject": category, "stop": ["\nQuestion:"]},
            )
        )
    return samples


def source(*files: str) -> Source:
    """Where MMLU-Pro lies."""
    return Source(
        folder="mmlu_pro",
        files=files,
        obtain="download TIGER-Lab/MMLU-Pro from the Hugging Face hub into mmlu_pro/",
        hub="TIGER-Lab/MMLU-Pro",
    )


MMLU_PRO = Benchmark(
    name="mmlu-pro",
    title="MMLU-Pro",
    paper="https://arxiv.org/abs/2406.01574",
    protocol=Protocol(metric="EM"),
    source=source("**/*test*"),
    read=partial(read_samples, base=False),
    scorer=by_rule(choice_rule),
)
MMLU_PRO_BASE = Benchmark(
    name="mmlu-pro-base",
    title="MMLU-pro",
    paper="https://arxiv.org/abs/2406.01574",
    protocol=Protocol(
        metric="EM", asks="completion", shots=SHOTS, temperature=0.0, max_tokens=2048
    ),
    source=source("**/*test*", "**/*validation*"),
    read=partial(read_samples, base=True),
    scorer=by_rule(choice_rule),
)
