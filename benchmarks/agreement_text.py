"""Rows whose answers are texts: formulas, numbers, options, names, instructions, grades."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from agreement_cases import Case, Cases
from agreement_ifeval import response
from agreement_shapes import CHOICE, GRADE, MATH, NUMBER, SHORT, Shape, written
from inspect_ai.dataset import Sample
from scorers import REPLAYS

from openk2.eval.answers.choices import LETTERS
from openk2.eval.answers.judged import fact_verdict
from openk2.eval.answers.scoring import (
    GivenAnswer,
    Rule,
    choice_rule,
    picked_rule,
    short_rule,
)
from openk2.eval.inspect_task import drawn
from openk2.eval.loglikelihood import echoed_loglikelihood
from openk2.eval.records import read
from openk2.eval.tasks.aime2024 import AIME_2024
from openk2.eval.tasks.aime2025 import AIME_2025
from openk2.eval.tasks.gsm8k import GSM8K_BASE
from openk2.eval.tasks.ifeval import instructions, strict_rule
from openk2.eval.tasks.math import MATH_BASE
from openk2.eval.tasks.math500 import MATH_500
from openk2.eval.tasks.mmlu import MMLU, MMLU_BASE

Asks = Callable[[str, Sequence[str], dict[str, Any]], dict[str, dict[str, Any]]]
FOLDERS = {
    "csimpleqa": "ChineseSimpleQA/chinese_simpleqa_eval.py",
    "simpleqa": "simple-evals/simpleqa_eval.py",
}
# Names with articles, accents, hyphens, numbers and titles, each with its other spellings.
ALIASES = (
    ("The Beatles", "Beatles"),
    ("Antonín Dvořák", "Antonin Dvorak"),
    ("Jean-Paul Sartre", "Sartre"),
    ("U.S. Route 66", "Route 66"),
    ("A Clockwork Orange", "Clockwork Orange"),
    ("1,000 metres", "1000 metres"),
    ("Saint Petersburg", "St. Petersburg"),
    ("O'Hare Airport", "O’Hare"),
    ("Henry VIII", "King Henry VIII"),
    ("Port-au-Prince",),
    ("AC/DC",),
    ("Salt & pepper", "salt and pepper"),
    ("42", "forty-two"),
    ("Vitamin C",),
    ("Theodore Roosevelt", "Teddy Roosevelt"),
)


def value(rule: Rule, text: str, references: Sequence[str], metadata: dict[str, Any]) -> float:
    """What our rule gives."""
    given = rule(GivenAnswer(text, references, metadata)).value
    assert isinstance(given, float)
    return given


def replayed(name: str, shapes: Sequence[Shape], asks: Asks) -> Cases:
    """A row of scorers.py whose data is at hand; a small one is asked several times."""
    replay = next(each for each in REPLAYS if each.benchmark.name == name)

    def cases(data: Path, limit: int, seed: int) -> Iterator[Case]:
        rng = Random(f"{name}/{seed}")
        samples = replay.benchmark.read(data / replay.benchmark.source.folder)
        chosen = rng.sample(range(len(samples)), len(samples))
        for number in islice(cycle(chosen), limit):
            target, metadata = str(samples[number].target), samples[number].metadata or {}
            text = written(shapes, target, replay.other(samples, number, rng), rng)
            ours = value(replay.rule, text.text, [target], metadata)
            requests = asks(text.text, [target], metadata)
            yield Case(text.shape, text.right, f"{target} | {text.text}", {"": ours}, requests)

    return cases


def made_up_options(options: int, asks: Asks) -> Cases:
    """Letters only: a rule that reads an option never sees the question."""

    def cases(data: Path, limit: int, seed: int) -> Iterator[Case]:
        rng, metadata = Random(f"{options}/{seed}"), {"options": options}
        for _ in range(limit):
            target, other = rng.sample(LETTERS[:options], 2)
            text = written(CHOICE, target, other, rng)
            ours = value(choice_rule, text.text, [target], metadata)
            requests = asks(text.text, [target], metadata)
            yield Case(text.shape, text.right, f"{target} | {text.text}", {"": ours}, requests)

    return cases


def short_answers(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """TriviaQA on made-up aliases. Theirs see our first line: cutting it is the prompt's matter."""
    rng = Random(f"triviaqa/{seed}")
    for _ in range(limit):
        names, others = rng.sample(ALIASES, 2)
        text = written(SHORT, rng.choice(names), others[0], rng)
        line = text.text.strip().split("\n", 1)[0].strip()
        ours = value(short_rule, text.text, names, {})
        yield Case(
            text.shape,
            text.right,
            f"{names} | {text.text}",
            {"": ours},
            {
                "TriviaQA": {"scorer": "triviaqa", "text": line, "references": names},
                "lm-eval": {
                    "scorer": "lm_eval_regex",
                    "config": "triviaqa/default.yaml",
                    "filter": "remove_whitespace",
                    "text": line,
                    "references": names,
                },
            },
        )


def followed(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """IFEval: every instruction's verdict, and the prompt's."""
    rng = Random(f"ifeval/{seed}")
    records = list(read(data / "ifeval", "*input_data*"))
    for record in rng.sample(records, min(limit, len(records))):
        wanted = instructions(record)
        text = response(record.text("prompt"), wanted, rng)
        score = strict_rule(GivenAnswer(text, [], {"instructions": wanted}))
        assert score.metadata is not None
        verdicts = [float(given) for given in score.metadata["followed"].values()]
        request = {
            "scorer": "ifeval",
            "text": text,
            "prompt": record.text("prompt"),
            "instruction_id_list": [each["id"] for each in wanted],
            "kwargs": [each["kwargs"] for each in wanted],
        }
        yield Case(
            "",
            None,
            f"{json.dumps([e['kwargs'] for e in wanted])[:120]} | {text}",
            {str(n): given for n, given in enumerate(verdicts)} | {"all": min(verdicts)},
            {"Google's code in lm-eval": request},
            {str(n): each["id"] for n, each in enumerate(wanted)} | {"all": "prompt"},
        )


def likeliest(data: Path, limit: int, seed: int) -> Iterator[Case]:
    """MMLU's base row: echoed log-probabilities, with pieces of one character and merged spaces."""
    rng = Random(f"options/{seed}")
    samples: list[Sample] = drawn(MMLU_BASE.read(data / "mmlu"), limit, seed)
    for sample in samples:
        prompt, target = str(sample.input), str(sample.target)
        pieces = pieced(prompt, rng)
        choices, sums = [], []
        for number, option in enumerate(sample.choices or ()):
            ending = [option] if rng.random() < 0.8 else [option[0], option[1:]]
            tokens = [*pieces, *ending, " and"]
            logprobs = scored_tokens(tokens, rng)
            choices.append({"index": number, "logprobs": logprobs})
            ours = {key: listed[:-1] for key, listed in logprobs.items()}
            sums.append(echoed_loglikelihood(ours, prompt, option))
        letter = "ABCD"[sums.index(max(sums))]
        given = value(picked_rule, letter, [target], {})
        request = {
            "scorer": "lm_eval_options",
            "choices": choices,
            "ctxlens": [len(pieces)] * len(choices),
            "reference": target,
        }
        yield Case("echoed scores", None, str(sums), {"": given}, {"lm-eval": request})


def pieced(text: str, rng: Random) -> list[str]:
    """A text's last 200 characters in pieces, the rest as one: a tokenizer of no model."""
    head, tail = text[:-200], text[-200:]
    pieces = [head] if head else []
    while tail:
        size = rng.randrange(1, 8)
        pieces.append(tail[:size])
        tail = tail[size:]
    return pieces


def scored_tokens(tokens: Sequence[str], rng: Random) -> dict[str, Any]:
    """The logprobs of a completion that echoes its prompt and writes one more token."""
    offsets = [sum(map(len, tokens[:number])) for number in range(len(tokens))]
    scores = [None, *(-rng.expovariate(0.5) for _ in tokens[1:])]
    return {
        "tokens": list(tokens),
        "text_offset": offsets,
        "token_logprobs": scores,
        "top_logprobs": [{"x": score or 0.0} for score in scores],
    }


def graded(name: str, data: Path, limit: int, seed: int) -> Iterator[Case]:
    """A grader's replies; what they say is the grade."""
    rng = Random(f"{name}/{seed}")
    for _ in range(limit):
        # `written` wants a right answer: a reply is right if it says A.
        text = written(GRADE, "A", rng.choice("BC"), rng)
        request = {"scorer": "simpleqa_letter", "file": FOLDERS[name], "text": text.text}
        ours = float(fact_verdict(text.text) or 0.0)
        yield Case(text.shape, text.right, text.text, {"": ours}, {"its own": request})


def math_scorers(text: str, references: Sequence[str], _: Any) -> dict[str, dict[str, Any]]:
    asked = {"text": text, "reference": references[0]}
    return {
        "math-verify": {"scorer": "math_verify", **asked},
        "lm-eval, AIME": {"scorer": "lm_eval_math", **asked},
    }


def minerva_scorers(text: str, references: Sequence[str], _: Any) -> dict[str, dict[str, Any]]:
    asked = {"text": text, "reference": references[0]}
    return {
        "math-verify": {"scorer": "math_verify", **asked},
        "lm-eval, Minerva": {"scorer": "lm_eval_minerva", **asked},
    }


def number_scorers(text: str, references: Sequence[str], _: Any) -> dict[str, dict[str, Any]]:
    asked = {
        "scorer": "lm_eval_regex",
        "config": "gsm8k/gsm8k.yaml",
        "text": text,
        "references": list(references),
    }
    return {
        f"lm-eval, {name}": {**asked, "filter": name}
        for name in ("strict-match", "flexible-extract")
    }


def option_scorers(
    *scorers: tuple[str, dict[str, Any]],
) -> Asks:
    """Requests of several readers of a letter."""

    def asks(text: str, references: Sequence[str], metadata: dict[str, Any]) -> dict[str, Any]:
        asked = {
            "text": text,
            "reference": references[0],
            "references": list(references),
            "options": metadata["options"],
        }
        return {label: {**asked, **request} for label, request in scorers}

    return asks


MMLU_OWN = ("simple-evals, MMLU", {"scorer": "simple_evals_choice"})
GPQA_OWN = ("simple-evals, GPQA", {"scorer": "simple_evals_gpqa"})
PRO_OWN = ("MMLU-Pro", {"scorer": "mmlu_pro_choice"})
SUPER_OWN = ("SuperGPQA", {"scorer": "supergpqa_choice"})
PRO_LM_EVAL = (
    "lm-eval, MMLU-Pro",
    {
        "scorer": "lm_eval_regex",
        "config": "mmlu_pro/_default_template_yaml",
        "filter": "custom-extract",
    },
)
TEXT_ROWS: dict[str, Cases] = {
    AIME_2024.name: replayed(AIME_2024.name, MATH, math_scorers),
    AIME_2025.name: replayed(AIME_2025.name, MATH, math_scorers),
    MATH_500.name: replayed(MATH_500.name, MATH, math_scorers),
    MATH_BASE.name: replayed(MATH_BASE.name, MATH, minerva_scorers),
    GSM8K_BASE.name: replayed(GSM8K_BASE.name, NUMBER, number_scorers),
    MMLU.name: replayed(MMLU.name, CHOICE, option_scorers(MMLU_OWN)),
    MMLU_BASE.name: likeliest,
    "ifeval": followed,
    "csimpleqa-base": partial(graded, "csimpleqa"),
    "simpleqa": partial(graded, "simpleqa"),
    "triviaqa-base": short_answers,
    "mmlu-pro": made_up_options(10, option_scorers(PRO_OWN, PRO_LM_EVAL)),
    "gpqa-diamond": made_up_options(4, option_scorers(GPQA_OWN)),
    "supergpqa": made_up_options(10, option_scorers(SUPER_OWN)),
}
