"""MMLU: 14,042 questions of 57 subjects with four options (arXiv 2009.03300).

Chat: the question and its options, zero-shot, reasoning allowed; the letter after `Answer:`, boxed
or otherwise announced. Exact match, temperature 0.6, output cap 8,192.
Base: the subject's five development questions, then the question; the likeliest of ` A` to ` D`
after `Answer:`. Exact match, 5-shot. No judge in either.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import base_choice, choice_question, continuations, letter_of
from openk2.eval.answers.scoring import by_rule, choice_rule, picked_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, find, read_file

SHOTS = 5
OPTIONS = 4


def questions(folder: Path, split: str) -> dict[str, list[Record]]:
    """Subject -> its questions: files `<split>/<subject>_<split>.csv`, or the hub's with a field
    subject. Raises DataError."""
    # The hub has every subject twice: in a folder of its own and in all/.
    folder = folder / "all" if (folder / "all").is_dir() else folder
    found = defaultdict(list)
    for path in find(folder, f"{split}/*.csv", f"{split}-*", f"{split}.*"):
        for record in read_file(path):
            subject = record.get("subject") or path.stem.removesuffix(f"_{split}")
            found[str(subject)].append(record)
    return dict(found)


def options(record: Record) -> list[str]:
    """The four options: a field choices, or choice0 to choice3, or A to D."""
    if "choices" in record:
        choices = record.texts("choices")
    else:
        choices = [str(record.one_of(f"choice{i}", "ABCD"[i])) for i in range(OPTIONS)]
    if len(choices) != OPTIONS:
        raise DataError(f"{record.place}: {len(choices)} options, must be {OPTIONS}")
    return choices


def prefix(subject: str, examples: list[Record]) -> str:
    """The head line and the subject's five worked questions."""
    if len(examples) < SHOTS:
        raise DataError(f"{subject}: {len(examples)} development questions, needs {SHOTS}")
    head = f"Questions about {subject.replace('_', ' ')}, each with four options.\n\n"
    shots = [
        base_choice(r.text("question"), options(r), letter_of(r, OPTIONS, "answer"))
        for r in examples[:SHOTS]
    ]
    return head + "".join(shots)


def option_sample(identity: str, record: Record, shots: str, answer: str) -> Sample:
    """A question whose options a base model scores."""
    return Sample(
        id=identity,
        input=shots + base_choice(record.text("question"), options(record)),
        choices=continuations(OPTIONS),
        target=answer,
    )


def chat_sample(identity: str, record: Record, answer: str) -> Sample:
    """A question for a chat model."""
    return Sample(
        id=identity,
        input=choice_question(record.text("question"), options(record)),
        target=answer,
        metadata={"options": OPTIONS},
    )


def read_samples(folder: Path, *, base: bool) -> list[Sample]:
    """Every subject's test questions."""
    shots = questions(folder, "dev") if base else {}
    samples = []
    for subject, records in questions(folder, "test").items():
        head = prefix(subject, shots.get(subject, [])) if base else ""
        for number, record in enumerate(records):
            identity, answer = f"{subject}-{number}", letter_of(record, OPTIONS, "answer")
            samples.append(
                option_sample(identity, record, head, answer)
                if base
                else chat_sample(identity, record, answer)
            )
    return samples


def source(*files: str) -> Source:
    """Where MMLU lies."""
    return Source(
        folder="mmlu",
        files=files,
        obtain="download cais/mmlu, folder all, from the Hugging Face hub into mmlu/",
        hub="cais/mmlu",
    )


MMLU = Benchmark(
    name="mmlu",
    title="MMLU",
    paper="https://arxiv.org/abs/2009.03300",
    protocol=Protocol(metric="EM"),
    source=source("**/*test*"),
    read=partial(read_samples, base=False),
    scorer=by_rule(choice_rule),
)
MMLU_BASE = Benchmark(
    name="mmlu-base",
    title="MMLU",
    paper="https://arxiv.org/abs/2009.03300",
    protocol=Protocol(metric="EM", asks="options", shots=SHOTS, temperature=0.0, max_tokens=1),
    source=source("**/*test*", "**/*dev*"),
    read=partial(read_samples, base=True),
    scorer=by_rule(picked_rule),
)
