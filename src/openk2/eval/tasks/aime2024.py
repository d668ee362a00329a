"""AIME 2024: the 30 problems of the two papers of 2024, answers from 0 to 999.

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
    """The local copy has fields id, problem, answer; the hub's has ID, Problem, Answer."""
    return [
        Sample(
            id=record.text("id", "ID"),
            input=boxed_question(record.text("problem", "Problem", "question")),
            target=record.text("answer", "Answer"),
        )
        for record in read(folder, "*")
    ]


AIME_2024 = Benchmark(
    name="aime-2024",
    title="AIME 2024",
    paper="https://maa.org/math-competitions/aime",
    protocol=Protocol(metric="Avg@64", samples=64),
    source=Source(
        folder="aime2024",
        files=("*",),
        obtain="download Maxwell-Jia/AIME_2024 from the Hugging Face hub into aime2024/",
        hub="Maxwell-Jia/AIME_2024",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
