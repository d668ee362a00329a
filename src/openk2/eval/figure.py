"""A row's figure from its questions, and the difference of two runs over the same questions.

The figure is the weighted mean of group means; without groups all questions are one. It is a sum of
one term for each question, so its variance, and a test of a difference, need these terms alone. The
question is the unit: the k answers of Avg@k to one question agree more than those to others.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from openk2.eval.share import Z, mean_interval

# Of a question: group -> mean over its answers, from 0 to 1. "" is the only group of a plain row.
Question = Mapping[str, float]

EXACT = 14  # differing questions up to which all 2^n sign flips are counted
FLIPS = 20_000


@dataclass(frozen=True)
class Figure:
    """A row's figure of 1, its 95 % interval, and the mean of each group."""

    value: float
    low: float
    high: float
    groups: Mapping[str, float]

    def __str__(self) -> str:
        """Such as `41.2 (38.0 to 44.4)`, of 100 as the README has it."""
        return f"{100 * self.value:.1f} ({100 * self.low:.1f} to {100 * self.high:.1f})"

    def to_json(self) -> dict[str, Any]:
        """Of 1; groups only where the row has some."""
        groups = {"groups": dict(self.groups)} if set(self.groups) - {""} else {}
        return {"value": self.value, "low": self.low, "high": self.high, **groups}


def figure_of(
    questions: Mapping[str, Question], weights: Mapping[str, float], answers: int
) -> Figure | None:
    """The figure; None without questions, or if a weighted group has none.

    weights: of the groups; empty for a plain mean. answers: to all questions.
    """
    shares = group_shares(questions, weights)
    if shares is None:
        return None
    means = {
        group: math.fsum(q[group] for q in questions.values() if group in q) / count
        for group, (count, _) in shares.items()
    }
    value = math.fsum(weight * means[group] for group, (_, weight) in shares.items())
    value = min(1.0, max(0.0, value))
    distances = {
        name: {group: found - means[group] for group, found in question.items() if group in means}
        for name, question in questions.items()
    }
    spread = [
        (found - value) ** 2 for q in questions.values() for g, found in q.items() if g in means
    ]
    variance = figure_variance(terms(distances, shares), shares, math.fsum(spread) / len(spread))
    trials = min(len(questions), 1 / math.fsum(w * w / count for count, w in shares.values()))
    return Figure(value, *mean_interval(value, variance, trials, answers), means)


def figure_variance(
    residuals: Sequence[float], shares: Mapping[str, tuple[int, float]], pooled: float
) -> float:
    """Of a weighted mean of group means. residuals: each question's term of it, less what its
    groups' means make of it. pooled: the variance of single questions over all groups.

    A group of few questions shows too little variance, one of a single question none. So each gets
    one question more, whose squared distance is `pooled`; in a row without groups that is what
    n / (n - 1) does.
    """
    added = math.fsum((weight / count) ** 2 for count, weight in shares.values())
    return math.fsum(residual**2 for residual in residuals) + pooled * added


def group_shares(
    questions: Mapping[str, Question], weights: Mapping[str, float]
) -> dict[str, tuple[int, float]] | None:
    """Group -> its number of questions and its weight of 1; None if there is nothing to weigh."""
    counts = Counter(group for question in questions.values() for group in question)
    wanted = dict(weights) or {"": 1.0}
    total = math.fsum(wanted.values())
    if any(not counts[group] for group in wanted):
        return None
    return {group: (counts[group], weight / total) for group, weight in wanted.items()}


def terms(
    questions: Mapping[str, Question], shares: Mapping[str, tuple[int, float]]
) -> list[float]:
    """Each question's term of the weighted mean."""
    return [
        math.fsum(
            value * shares[group][1] / shares[group][0]
            for group, value in question.items()
            if group in shares
        )
        for question in questions.values()
    ]


def sum_variance(residuals: Sequence[float]) -> float:
    """Of a sum of independent terms, from their distances to what is expected."""
    count = len(residuals)
    if count < 2:
        return 0.0
    return count / (count - 1) * math.fsum(residual**2 for residual in residuals)


@dataclass(frozen=True)
class Difference:
    """Second run less first, of 1, over the questions of both; p: of no difference, two-sided."""

    value: float
    low: float
    high: float
    p: float
    questions: int
    better: int
    worse: int

    def to_json(self) -> dict[str, float | int]:
        """All of it."""
        return dict(vars(self))


def paired_difference(
    first: Mapping[str, Question], second: Mapping[str, Question], weights: Mapping[str, float]
) -> Difference | None:
    """Compare question by question; None if the runs share none, or a weighted group is empty.

    The interval is normal over the paired differences. p is of the sign-flip test: were the runs
    alike, each question's difference would as likely have the other sign. Exact up to 14 differing
    questions, else over 20,000 random flips with a fixed seed.
    """
    common = sorted(first.keys() & second.keys())
    differences = {
        name: {g: second[name][g] - v for g, v in first[name].items() if g in second[name]}
        for name in common
    }
    shares = group_shares(differences, weights)
    if shares is None:
        return None
    paired = terms(differences, shares)
    value = math.fsum(paired)
    mean = value / len(paired)
    spread = Z * math.sqrt(sum_variance([term - mean for term in paired]))
    counts = sum(term > 1e-12 for term in paired), sum(term < -1e-12 for term in paired)
    return Difference(value, value - spread, value + spread, flip_p(paired), len(paired), *counts)


def flip_p(paired: Sequence[float]) -> float:
    """The two-sided p value of the sign-flip test of a sum; 1 where nothing differs."""
    differing = np.array([term for term in paired if abs(term) > 1e-12])
    if not len(differing):
        return 1.0
    reached = abs(differing.sum()) - 1e-12
    if len(differing) <= EXACT:
        bits = np.arange(2 ** len(differing))[:, None] >> np.arange(len(differing)) & 1
        return float((np.abs((2 * bits - 1) @ differing) >= reached).mean())
    rng = np.random.default_rng(0)
    extreme = 0
    for _ in range(FLIPS // 100):
        signs = 2 * rng.integers(0, 2, (100, len(differing))) - 1
        extreme += int((np.abs(signs @ differing) >= reached).sum())
    return (1 + extreme) / (1 + FLIPS)
