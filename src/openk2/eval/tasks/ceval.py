"""C-Eval, for base models: Chinese examinations of 52 subjects, four options (arXiv 2305.08322).

The validation set's 1,346 questions: the test set's answers are not public.
Prompt: the subject's five development questions, then the question; the likeliest of ` A` to ` D`
after 答案：. Exact match, 5-shot. No judge.
"""

from collections import defaultdict
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import continuations, letter_of, listed
from openk2.eval.answers.scoring import by_rule, picked_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, find, read_file

SHOTS = 5
OPTIONS = 4
HEAD = "以下是单项选择题，请选出其中的正确答案。\n\n"


def questions(folder: Path, split: str) -> dict[str, list[Record]]:
    """Subject -> questions: `<split>/<subject>_<split>.csv` or the hub's `<subject>/<split>-*`."""
    found: dict[str, list[Record]] = defaultdict(list)
    for path in find(folder, f"{split}/*_{split}.csv", f"{split}-*"):
        named = path.stem.removesuffix(f"_{split}")
        subject = path.parent.name if named == path.stem else named
        found[subject] += list(read_file(path))
    return dict(found)


def asked(record: Record, answer: str = "") -> str:
    """A question in the prompt; a shot has its letter."""
    options = [str(record.one_of(letter)) for letter in "ABCD"]
    filled = f" {answer}\n\n" if answer else ""
    return f"{record.text('question').strip()}\n{listed(options)}\n答案：{filled}"


def read_samples(folder: Path) -> list[Sample]:
    """Fields id, question, A, B, C, D, answer."""
    development = questions(folder, "dev")
    samples = []
    for subject, records in questions(folder, "val").items():
        examples = development.get(subject, [])[:SHOTS]
        if len(examples) < SHOTS:
            raise DataError(f"{subject}: {len(examples)} development questions, needs {SHOTS}")
        shots = "".join(asked(shot, letter_of(shot, OPTIONS, "answer")) for shot in examples)
        samples += [
            Sample(
                id=f"{subject}-{record.text('id')}",
                input=HEAD + shots + asked(record),
                choices=continuations(OPTIONS),
                target=letter_of(record, OPTIONS, "answer"),
            )
            for record in records
        ]
    return samples


CEVAL_BASE = Benchmark(
    name="ceval-base",
    title="C-Eval",
    paper="https://arxiv.org/abs/2305.08322",
    protocol=Protocol(metric="EM", asks="options", shots=SHOTS, temperature=0.0, max_tokens=1),
    source=Source(
        folder="ceval",
        files=("**/*dev*", "**/*val*"),
        obtain="download ceval/ceval-exam from the Hugging Face hub into ceval/",
        hub="ceval/ceval-exam",
    ),
    read=read_samples,
    scorer=by_rule(picked_rule),
)
