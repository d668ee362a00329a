"""IFEval: 541 prompts with instructions that a program can check (arXiv 2311.07911).

Prompt: the sample's own, zero-shot. Scoring: eval/answers/instructions.py, each of the 25 kinds; no
judge. Metric: prompt-level strict accuracy, all instructions of a prompt followed to the letter.
Temperature 0.6, output cap 8,192. The language checks need langdetect, as the published code does.
"""

from pathlib import Path
from typing import Any

from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer

from openk2.data.error import DataError
from openk2.eval.answers.instructions import check_arguments, follows, need_langdetect
from openk2.eval.answers.scoring import Answered, by_rule, scored
from openk2.eval.benchmark import Benchmark, Protocol, Source
from openk2.eval.records import Record, read


def instructions(record: Record) -> list[dict[str, Any]]:
    """Id and arguments of each, nulls left out. Raises DataError for what cannot be checked."""
    identities, arguments = record.one_of("instruction_id_list"), record.one_of("kwargs")
    if len(identities) != len(arguments):
        raise DataError(f"{record.place}: {len(identities)} instructions, {len(arguments)} kwargs")
    wanted = []
    for identity, given in zip(identities, arguments, strict=True):
        kwargs = {key: value for key, value in given.items() if value is not None}
        try:
            check_arguments(identity, kwargs)
        except DataError as error:
            raise DataError(f"{record.place}: {error}") from None
        wanted.append({"id": identity, "kwargs": kwargs})
    return wanted


def read_samples(folder: Path) -> list[Sample]:
    """Fields key, prompt, instruction_id_list, kwargs."""
    return [
        Sample(
            id=record.text("key"),
            input=record.text("prompt"),
            metadata={"instructions": instructions(record)},
        )
        for record in read(folder, "*input_data*", "*train*")
    ]


def strict_rule(asked: Answered) -> Score:
    """1 if every instruction is followed; which are, is in the score's metadata."""
    followed = {
        f"{number} {instruction['id']}": follows(
            instruction["id"], instruction["kwargs"], asked.text
        )
        for number, instruction in enumerate(asked.metadata["instructions"])
    }
    return scored(all(followed.values()), asked.text, followed=followed)


def scorer() -> Scorer:
    """The rule as a scorer. Raises ModuleNotFoundError without langdetect."""
    need_langdetect()
    return by_rule(strict_rule)()


IFEVAL = Benchmark(
    name="ifeval",
    title="IFEval",
    paper="https://arxiv.org/abs/2311.07911",
    protocol=Protocol(metric="Prompt Strict"),
    source=Source(
        folder="ifeval",
        files=("*input_data*",),
        obtain="download google/IFEval from the Hugging Face hub into ifeval/",
        hub="google/IFEval",
    ),
    read=read_samples,
    scorer=scorer,
)
