"""GSM8k, for base models: 1,319 word problems (arXiv 2110.14168).

Prompt: the first eight problems of the training set with their solutions, then the problem, to be
continued. Answer: the number after `####`, otherwise the last number; compared as a number.
Metric: exact match, 8-shot, greedy, output cap 1,024. No judge.
"""

from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.data.error import DataError
from openk2.eval.answers.questions import base_question
from openk2.eval.answers.scoring import by_rule, number_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

SHOTS = 8


def reference(record: Record) -> str:
    """What follows `####`. Raises DataError without it."""
    answer = record.text("answer").rpartition("####")[2].strip()
    if "####" not in record["answer"] or not answer:
        raise DataError(f"{record.place}: the answer has no line with ####")
    return answer


def read_samples(folder: Path) -> list[Sample]:
    """Files `*test*` and `*train*`, fields question and answer; of the hub's folders only main."""
    folder = folder / "main" if (folder / "main").is_dir() else folder
    train = [record for _, record in zip(range(SHOTS), read(folder, "*train*"), strict=False)]
    shots = "".join(base_question(shot.text("question"), shot.text("answer")) for shot in train)
    return [
        Sample(
            id=f"gsm8k-{number}",
            input=shots + base_question(record.text("question")),
            target=reference(record),
            metadata={"stop": ["\nQuestion:"]},
        )
        for number, record in enumerate(read(folder, "*test*"))
    ]


GSM8K_BASE = Benchmark(
    name="gsm8k-base",
    title="GSM8k",
    paper="https://arxiv.org/abs/2110.14168",
    protocol=Protocol(
        metric="EM", asks="completion", shots=SHOTS, temperature=0.0, max_tokens=1024
    ),
    source=Source(
        folder="gsm8k",
        files=("**/*test*", "**/*train*"),
        obtain="download openai/gsm8k from the Hugging Face hub into gsm8k/",
        hub="openai/gsm8k",
    ),
    read=read_samples,
    scorer=by_rule(number_rule),
)
