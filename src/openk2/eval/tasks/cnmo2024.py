"""CNMO 2024: the 18 problems of the Chinese olympiad in LiveMathBench's English version of 202412,
gated.

Home: https://arxiv.org/abs/2412.13147.
Prompt: the problem and a request for the answer in a box, zero-shot. Answer: the last box,
otherwise what "the answer is" announces; equal in text, as a number or by math-verify.
Metric: Avg@16, temperature 0.6, output cap 8,192. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import boxed_question
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, DataHome, Protocol
from openk2.eval.records import read


def read_samples(folder: Path) -> list[Sample]:
    """Fields question, answer; a row of the file has no id, so its place in it is one."""
    return [
        Sample(
            id=f"cnmo-{number}",
            input=boxed_question(record.text("question", "problem")),
            target=record.text("answer"),
        )
        for number, record in enumerate(read(folder, "*CNMO_en*", "*CNMO_en*/*"), 1)
    ]


CNMO_2024 = Benchmark(
    name="cnmo-2024",
    title="CNMO 2024",
    paper="https://arxiv.org/abs/2412.13147",
    protocol=Protocol(metric="Avg@16", samples=16),
    source=DataHome(
        folder="cnmo2024",
        files=("*CNMO_en*",),
        obtain="accept the terms of opencompass/LiveMathBench on the Hugging Face hub, download it"
        " into cnmo2024/",
        hub="opencompass/LiveMathBench",
        gated=True,
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
