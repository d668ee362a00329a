"""Humanity's Last Exam, its questions without an image, gated (arXiv 2501.14249).

Prompt: the question, then a request for an explanation, an answer and a confidence, zero-shot.
Judge: role "grader"; it extracts the final answer and compares it with the reference alone.
Metric: share judged correct, temperature 0.6, output cap 8,192.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.judged import EXAM_JUDGE
from openk2.eval.answers.scoring import by_judge
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import read

REQUEST = """

Answer in this form:
Explanation: your reasoning
Answer: your final answer, short and exact; for a question with options, the letter
Confidence: from 0% to 100%"""


def read_samples(folder: Path) -> list[Sample]:
    """Fields id, question, answer, answer_type, image (empty or missing: text only)."""
    return [
        Sample(
            id=record.text("id"),
            input=record.text("question") + REQUEST,
            target=record.text("answer"),
            metadata={"question": record.text("question"), "kind": record.get("answer_type")},
        )
        for record in read(folder, "*test*")
        if not record.get("image")
    ]


HLE = Benchmark(
    name="hle",
    title="Humanity's Last Exam (text only)",
    paper="https://arxiv.org/abs/2501.14249",
    protocol=Protocol(metric="Acc", roles=("grader",)),
    source=Source(
        folder="hle",
        files=("**/*test*",),
        obtain="accept the terms of cais/hle on the Hugging Face hub, download it into hle/",
        hub="cais/hle",
        gated=True,
    ),
    read=read_samples,
    scorer=by_judge("hle", EXAM_JUDGE),
)
