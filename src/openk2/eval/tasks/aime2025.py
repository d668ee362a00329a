"""AIME 2025: the 30 problems of the two papers of 2025, answers from 0 to 999.

Home: https://maa.org/math-competitions/aime.
Prompt: the problem and a request for the answer in a box, zero-shot. Answer: the last box,
otherwise what "the answer is" announces; equal in text, as a number or by math-verify.
Metric: Avg@64, temperature 0.6, output cap 8,192. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import boxed_question
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read


def read_samples(folder: Path) -> list[Sample]:
    """Fields id, problem, answer."""
    return [
        Sample(
            id=record.text("id"),
            input=boxed_question(record.text("problem", "question")),
            target=record.text("answer"),
        )
        for record in read(folder, "*")
    ]


AIME_2025 = Benchmark(
    name="aime-2025",
    title="AIME 2025",
    paper="https://maa.org/math-competitions/aime",
    protocol=Protocol(metric="Avg@64", samples=64),
    source=Source(
        folder="aime2025",
        files=("*",),
        obtain="download math-ai/aime25 from the Hugging Face hub into aime2025/",
        hub="math-ai/aime25",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
