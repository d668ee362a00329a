"""GPQA-Diamond: 198 questions of physics, chemistry and biology, gated (arXiv 2311.12022).

The file lists the right answer first, so options are shuffled by the question's id.
Chat: zero-shot with reasoning; the letter after `Answer:`, boxed or otherwise announced. Avg@8,
temperature 0.6, output cap 8,192.
Base: five questions of the main set that are not in the diamond set, then the question; the
likeliest of ` A` to ` D`. Likelihoods do not vary, so Avg@8 is the mean over eight orders of the
options, each a sample. 5-shot. No judge in either.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import base_choice, choice_question, continuations, shuffled
from openk2.eval.answers.scoring import by_rule, choice_rule, picked_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

SHOTS = 5
ORDERS = 8
OPTIONS = 4


def order(record: Record, number: int = 0) -> tuple[list[str], str]:
    """The options in the question's order of that number, and the right one's letter."""
    right = record.text("Correct Answer").strip()
    wrong = [record.text(f"Incorrect Answer {index}").strip() for index in (1, 2, 3)]
    return shuffled([right, *wrong], right, record.text("Record ID"), number)


def shots(folder: Path, diamond: list[Record]) -> str:
    """Five questions of the main set that are not scored. Raises DataError if there are fewer."""
    scored = {record.text("Record ID") for record in diamond}
    others = [r for r in read(folder, "*gpqa_main*") if r.text("Record ID") not in scored][:SHOTS]
    if len(others) < SHOTS:
        raise DataError(f"{folder}: the main set has {len(others)} questions for {SHOTS} shots")
    return "".join(base_choice(r.text("Question"), *order(r)) for r in others)


def read_samples(folder: Path) -> list[Sample]:
    """Fields Record ID, Question, Correct Answer, Incorrect Answer 1 to 3."""
    samples = []
    for record in read(folder, "*gpqa_diamond*"):
        options, answer = order(record)
        samples.append(
            Sample(
                id=record.text("Record ID"),
                input=choice_question(record.text("Question"), options),
                target=answer,
                metadata={"options": OPTIONS},
            )
        )
    return samples


def read_base_samples(folder: Path) -> list[Sample]:
    """Eight samples a question, ids `<Record ID>/<order>`."""
    diamond = list(read(folder, "*gpqa_diamond*"))
    head = shots(folder, diamond)
    samples = []
    for record in diamond:
        for number in range(ORDERS):
            options, answer = order(record, number)
            identity = record.text("Record ID")
            samples.append(
                Sample(
                    id=f"{identity}/{number}",
                    input=head + base_choice(record.text("Question"), options),
                    choices=continuations(OPTIONS),
                    target=answer,
                    metadata={"cluster": identity},
                )
            )
    return samples


def source(*files: str) -> Source:
    """Where GPQA lies: its readers have agreed not to publish it."""
    return Source(
        folder="gpqa",
        files=files,
        obtain="accept the terms of Idavidrein/gpqa on the hub, download it into gpqa/",
        hub="Idavidrein/gpqa",
        gated=True,
    )


GPQA_DIAMOND = Benchmark(
    name="gpqa-diamond",
    title="GPQA-Diamond",
    paper="https://arxiv.org/abs/2311.12022",
    protocol=Protocol(metric="Avg@8", samples=8),
    source=source("*gpqa_diamond*"),
    read=read_samples,
    scorer=by_rule(choice_rule),
)
GPQA_DIAMOND_BASE = Benchmark(
    name="gpqa-diamond-base",
    title="GPQA-Diamond",
    paper="https://arxiv.org/abs/2311.12022",
    protocol=Protocol(metric="Avg@8", asks="options", shots=SHOTS, temperature=0.0, max_tokens=1),
    source=source("*gpqa_diamond*", "*gpqa_main*"),
    read=read_base_samples,
    scorer=by_rule(picked_rule),
)
