"""HMMT 2025: the 30 problems of the February tournament, as MathArena publishes them.

Home: https://matharena.ai.
Prompt: the problem and a request for the answer in a box, zero-shot. Answer: the last box,
otherwise what "the answer is" announces; equal in text, as a number or by math-verify.
Metric: Avg@32, temperature 0.6, output cap 8,192. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import boxed_question
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read


def read_samples(folder: Path) -> list[Sample]:
    """Fields problem_idx, problem, answer."""
    return [
        Sample(
            id=record.text("problem_idx", "id"),
            input=boxed_question(record.text("problem")),
            target=record.text("answer"),
        )
        for record in read(folder, "*")
    ]


HMMT_2025 = Benchmark(
    name="hmmt-2025",
    title="HMMT 2025",
    paper="https://matharena.ai",
    protocol=Protocol(metric="Avg@32", samples=32),
    source=Source(
        folder="hmmt2025",
        files=("*",),
        obtain="download MathArena/hmmt_feb_2025 from the Hugging Face hub into hmmt2025/",
        hub="MathArena/hmmt_feb_2025",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
