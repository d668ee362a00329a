"""SuperGPQA: 26,529 graduate questions with up to ten options (arXiv 2502.14739).

Chat: zero-shot with reasoning; the letter after `Answer:`, boxed or otherwise announced. Exact
match, temperature 0.6, output cap 8,192.
Base: five questions of the file with their letters, then the question, to be continued. The paper's
own five are prompts of its repository; these are the file's first, which are then not scored. Exact
match, 5-shot, greedy, output cap 16. No judge in either.
"""

from functools import partial
from pathlib import Path

from inspect_ai.dataset import Sample

from openk2.eval.answers.questions import base_choice, choice_question, letter_of
from openk2.eval.answers.scoring import by_rule, choice_rule
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read

SHOTS = 5


def answer(record: Record) -> str:
    """The right option's letter."""
    return letter_of(record, len(record.texts("options")), "answer_letter")


def read_samples(folder: Path, *, base: bool) -> list[Sample]:
    """Fields uuid, question, options, answer_letter, discipline, difficulty."""
    records = list(read(folder, "*all*", "*train*"))
    shots = [
        base_choice(record.text("question"), record.texts("options"), answer(record))
        for record in records[: SHOTS if base else 0]
    ]
    head, samples = "".join(shots), []
    for record in records[len(shots) :]:
        question, options = record.text("question"), record.texts("options")
        asked = base_choice(question, options) if base else choice_question(question, options)
        samples.append(
            Sample(
                id=record.text("uuid"),
                input=head + asked,
                target=answer(record),
                metadata={"options": len(options), "stop": ["\n"]},
            )
        )
    return samples


SOURCE = Source(
    folder="supergpqa",
    files=("*",),
    obtain="download m-a-p/SuperGPQA from the Hugging Face hub into supergpqa/",
    hub="m-a-p/SuperGPQA",
)
SUPERGPQA = Benchmark(
    name="supergpqa",
    title="SuperGPQA",
    paper="https://arxiv.org/abs/2502.14739",
    protocol=Protocol(metric="Acc"),
    source=SOURCE,
    read=partial(read_samples, base=False),
    scorer=by_rule(choice_rule),
)
SUPERGPQA_BASE = Benchmark(
    name="supergpqa-base",
    title="SuperGPQA",
    paper="https://arxiv.org/abs/2502.14739",
    protocol=Protocol(metric="EM", asks="completion", shots=SHOTS, temperature=0.0, max_tokens=16),
    source=SOURCE,
    read=partial(read_samples, base=True),
    scorer=by_rule(choice_rule),
)
