r"""MATH-500: 500 problems of MATH's test set (arXiv 2305.20050).

Prompt: the problem and a request for the answer in a box, zero-shot. Some copies of the file start
each problem with such a request of their own, which is dropped. Answer: the last box, otherwise
what "the answer is" announces; equal in text, as a number or by math-verify.
Metric: accuracy, one sample, temperature 0.6, output cap 8,192. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import boxed_question
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read

ADDED = "Return your final response within \\boxed{}. "


def read_samples(folder: Path) -> list[Sample]:
    """Fields unique_id, problem, answer, subject, level."""
    return [
        Sample(
            id=record.text("unique_id"),
            input=boxed_question(record.text("problem").removeprefix(ADDED)),
            target=record.text("answer"),
            metadata={"subject": record.get("subject"), "level": record.get("level")},
        )
        for record in read(folder, "test.jsonl")
    ]


MATH_500 = Benchmark(
    name="math-500",
    title="MATH-500",
    paper="https://arxiv.org/abs/2305.20050",
    protocol=Protocol(metric="Acc"),
    source=Source(
        folder="math500",
        files=("test.jsonl",),
        obtain="download HuggingFaceH4/MATH-500 from the Hugging Face hub into math500/",
        hub="HuggingFaceH4/MATH-500",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
