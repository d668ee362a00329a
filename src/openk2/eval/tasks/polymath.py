"""PolyMath, English: 125 problems of each of four difficulties (arXiv 2504.18428).

Prompt: the problem and a request for the answer in a box, zero-shot. Answer: the last box,
otherwise what "the answer is" announces; equal in text, as a number or by math-verify.
Metric: Avg@4 of the paper's difficulty-weighted accuracy: low, medium, high and top count 1, 2, 4
and 8 times. Temperature 0.6, output cap 8,192. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import boxed_question
from openk2.eval.answers.scoring import by_rule, math_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import find, read_file

WEIGHTS = {"low": 1.0, "medium": 2.0, "high": 4.0, "top": 8.0}


def read_samples(folder: Path) -> list[Sample]:
    """A file a difficulty, `en/low.*` to `en/top.*`; fields question, answer, and maybe id."""
    samples = []
    for path in find(folder, "en/*"):
        level = path.name.split("-")[0].split(".")[0]
        if level not in WEIGHTS:
            raise DataError(f"{path}: {level!r} is no difficulty of {', '.join(WEIGHTS)}")
        samples += [
            Sample(
                id=f"{level}-{number}",
                input=boxed_question(record.text("question")),
                target=record.text("answer"),
                metadata={"group": level},
            )
            for number, record in enumerate(read_file(path))
        ]
    return samples


POLYMATH_EN = Benchmark(
    name="polymath-en",
    title="PolyMath-en",
    paper="https://arxiv.org/abs/2504.18428",
    protocol=Protocol(metric="Avg@4", samples=4, groups=WEIGHTS),
    source=Source(
        folder="polymath",
        files=("en/low*", "en/medium*", "en/high*", "en/top*"),
        obtain="download Qwen/PolyMath from the Hugging Face hub, folder en, into polymath/en/",
        hub="Qwen/PolyMath",
    ),
    read=read_samples,
    scorer=by_rule(math_rule),
)
