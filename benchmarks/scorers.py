"""Scorers of text answers, on the benchmarks' own files: references replayed, references corrupted.

Every reference, written as a model would write it, must score 1; another question's reference, or
the next option, must score 0. `--data` is the folder that `openk2 eval readme --data` reads; rows
whose files are not there are named and left out.

    python benchmarks/scorers.py --data DIR [--limit N] [--seed S]
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from inspect_ai.dataset import Sample

from openk2.eval.answers.choices import LETTERS
from openk2.eval.answers.scoring import (
    GivenAnswer,
    Rule,
    choice_rule,
    math_rule,
    number_rule,
    picked_rule,
)
from openk2.eval.benchmark import Benchmark
from openk2.eval.tasks.aime2024 import AIME_2024
from openk2.eval.tasks.aime2025 import AIME_2025
from openk2.eval.tasks.gsm8k import GSM8K_BASE
from openk2.eval.tasks.math import MATH_BASE
from openk2.eval.tasks.math500 import MATH_500
from openk2.eval.tasks.mmlu import MMLU, MMLU_BASE

Written = Callable[[str, Random], str]
SEED = 0


def in_a_box(answer: str, rng: Random) -> str:
    """A solution of a chat model, in one of the ways that they end."""
    forms = (
        f"We compute step by step.\n\n$$\\boxed{{{answer}}}$$",
        f"First guess: \\boxed{{-12345}}. Checking, the final answer is $\\boxed{{{answer}}}$.",
        f"So we get\n\\[\n\\boxed{{{answer}}}\n\\]\nwhich is what was asked.",
        f"**Final Answer**\n\n\\boxed{{{answer}}}",
    )
    return rng.choice(forms)


def after_marks(answer: str, rng: Random) -> str:
    """The end of a GSM8k solution."""
    return f" Half of it is {rng.randrange(9)}, so we add.\n#### {answer}"


def as_letter(answer: str, rng: Random) -> str:
    """A chat model's choice."""
    forms = (
        f"Let us see. A is tempting, but wrong.\n\nAnswer: {answer}",
        f"The correct answer is **{answer}**.",
        f"Therefore, the best option is ({answer}).",
        f"$\\boxed{{\\text{{{answer}}}}}$",
        f"综上所述，答案是{answer}。",
    )
    return rng.choice(forms)


@dataclass(frozen=True)
class Replay:
    """How a row's references are written, and which other answer is wrong."""

    benchmark: Benchmark
    rule: Rule
    written: Written

    def other(self, samples: list[Sample], number: int, rng: Random) -> str:
        """An answer that is not this sample's, by its text alone: another option, another digit, or
        another sample's reference."""
        target = str(samples[number].target)
        if self.rule in (choice_rule, picked_rule):
            return LETTERS[(LETTERS.index(target) + rng.randrange(1, 4)) % 4]
        digits = [place for place, char in enumerate(target) if char.isdecimal()]
        if digits:
            place = rng.choice(digits)
            digit = (int(target[place]) + rng.randrange(1, 10)) % 10
            return target[:place] + str(digit) + target[place + 1 :]
        while True:
            other = str(rng.choice(samples).target)
            if other != target:
                return other


REPLAYS = (
    Replay(AIME_2024, math_rule, in_a_box),
    Replay(AIME_2025, math_rule, in_a_box),
    Replay(MATH_500, math_rule, in_a_box),
    Replay(MATH_BASE, math_rule, in_a_box),
    Replay(GSM8K_BASE, number_rule, after_marks),
    Replay(MMLU, choice_rule, as_letter),
    Replay(MMLU_BASE, picked_rule, lambda answer, _: answer),
)


def value(replay: Replay, sample: Sample, answer: str, rng: Random) -> float:
    """What the rule gives an answer, written out."""
    asked = GivenAnswer(replay.written(answer, rng), [str(sample.target)], sample.metadata or {})
    given = replay.rule(asked).value
    assert isinstance(given, float)
    return given


def replayed(replay: Replay, data: Path, limit: int | None, seed: int) -> Iterator[tuple[str, str]]:
    """What went wrong: (kind, sample and answers), one for each sample that failed."""
    rng = Random(seed)
    samples = replay.benchmark.read(data / replay.benchmark.source.folder)
    chosen = list(range(len(samples)))
    rng.shuffle(chosen)
    for number in chosen[:limit]:
        sample = samples[number]
        target = str(sample.target)
        if value(replay, sample, target, rng) != 1.0:
            yield "right", f"{sample.id}: {target!r} does not count"
        other = replay.other(samples, number, rng)
        if value(replay, sample, other, rng) != 0.0:
            yield "wrong", f"{sample.id}: {other!r} counts for {target!r}"


def main() -> None:
    """Print a table, and every failure as a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}")
    for replay in REPLAYS:
        folder = options.data / replay.benchmark.source.folder
        if not folder.is_dir():
            print(f"{replay.benchmark.name:16} no {folder}")
            continue
        started = time.perf_counter()
        failures = list(replayed(replay, options.data, options.limit, options.seed))
        seconds = time.perf_counter() - started
        count = len(replay.benchmark.read(folder)[: options.limit])
        missed = sum(kind == "right" for kind, _ in failures)
        passed = len(failures) - missed
        print(
            f"{replay.benchmark.name:16} {count:6} references: {100 * (1 - missed / count):6.2f} %"
            f" count; corrupted: {100 * passed / count:5.2f} % count; {seconds:6.1f} s"
        )
        for kind, failure in failures:
            print(json.dumps({"kind": kind, "failure": failure}, ensure_ascii=False))


if __name__ == "__main__":
    main()
