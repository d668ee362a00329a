"""Scorers: a rule on an answer's text, or a judge's verdict, as inspect asks for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import TaskState

from openk2.eval.answers.choices import LETTERS, choice_answer
from openk2.eval.answers.math import math_answer, same_math
from openk2.eval.answers.numbers import number_answer, same_number
from openk2.eval.answers.short import same_short, short_answer

JUDGE_TRIES = 3
JUDGE_TOKENS = 8192  # a grader that thinks writes thousands before its verdict
RETRY_TEMPERATURE = 0.6  # the same request at 0 would get the same reply


@dataclass(frozen=True)
class GivenAnswer:
    """What a rule sees: the model's text, the references (one or more), the sample's metadata."""

    text: str
    references: Sequence[str]
    metadata: Mapping[str, Any]

    @property
    def reference(self) -> str:
        """The first reference."""
        return self.references[0]


Rule = Callable[[GivenAnswer], Score]


def scored(value: float | bool, answer: str | None, **metadata: Any) -> Score:
    """A score from 0 to 1, with the answer that was found ("" for none)."""
    return Score(value=float(value), answer=answer or "", metadata=metadata or None)


def by_rule(rule: Rule) -> Callable[[], Scorer]:
    """A scorer that applies a rule, in a thread: a rule may wait for a process."""

    def build() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            asked = GivenAnswer(state.output.completion, list(target), state.metadata)
            return await run_sync(rule, asked)

        return score

    return scorer(metrics=[mean()], name=rule.__name__)(build)


def math_rule(asked: GivenAnswer) -> Score:
    """1 if the final formula is the reference."""
    answer = math_answer(asked.text)
    return scored(same_math(answer, asked.reference), answer)


def number_rule(asked: GivenAnswer) -> Score:
    """1 if the final number is the reference."""
    answer = number_answer(asked.text)
    return scored(same_number(answer, asked.reference), answer)


def choice_rule(asked: GivenAnswer) -> Score:
    """1 if the answer settles on the reference's letter."""
    letters = LETTERS[: asked.metadata.get("options", len(LETTERS))]
    answer = choice_answer(asked.text, letters)
    return scored(answer == asked.reference, answer)


def picked_rule(asked: GivenAnswer) -> Score:
    """1 if the option that the model finds likeliest, named by the solver, is the reference's."""
    answer = asked.text.strip()
    return scored(answer == asked.reference, answer)


def short_rule(asked: GivenAnswer) -> Score:
    """1 if the first line equals one of the references after normalization."""
    answer = short_answer(asked.text)
    return scored(same_short(answer, asked.references), answer)


@dataclass(frozen=True)
class Judge:
    """How a grader model is asked, and how its verdict is read.

    prompt: what it is sent for an answer.
    verdict: 1 or 0 for its reply, None if the reply holds no verdict.
    """

    prompt: Callable[[GivenAnswer], str]
    verdict: Callable[[str, GivenAnswer], float | None]


def by_judge(name: str, judge: Judge) -> Callable[[], Scorer]:
    """A scorer that asks the model of the role "grader", up to JUDGE_TRIES times for a verdict.

    Without one the answer is unscored: neither right nor wrong.
    """

    def build() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            asked = GivenAnswer(state.output.completion, list(target), state.metadata)
            if not asked.text.strip():
                return scored(0.0, "", verdict="the answer is empty")
            prompt = judge.prompt(asked)
            # Without `required` inspect takes the model under test, which would judge itself.
            grader = get_model(role="grader", required=True)
            reply = ""
            for attempt in range(JUDGE_TRIES):
                config = judge_config(attempt, grader.config.max_tokens)
                reply = (await grader.generate(prompt, config=config)).completion
                value = judge.verdict(reply, asked)
                if value is not None:
                    return scored(value, asked.text, verdict=reply)
            return Score.unscored(
                answer=asked.text, explanation="the grader gave no verdict",
                metadata={"verdict": reply},
            )  # fmt: skip

        return score

    return scorer(metrics=[mean()], name=name)(build)


def judge_config(attempt: int, cap: int | None) -> GenerateConfig:
    """How a grader is asked: the likeliest reply first, then others. cap: of its model, if any."""
    tokens = min(JUDGE_TOKENS, cap or JUDGE_TOKENS)
    if not attempt:
        return GenerateConfig(temperature=0.0, max_tokens=tokens)
    return GenerateConfig(temperature=RETRY_TEMPERATURE, seed=attempt, max_tokens=tokens)
