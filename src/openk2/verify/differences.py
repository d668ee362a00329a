"""How far two scorings of the same tokens lie apart, and how far they may.

Engines on GPUs are not batch-invariant: the order of a sum depends on the shape of the batch, and
in bfloat16 (8 bits of mantissa) a logit between 16 and 32 has steps of 1/8. Two correct scorings of
one token differ by a few hundredths of a nat, and by more where a router's choice flips between two
experts of nearly the same score. Wrong sums move every token by tenths of a nat or more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from openk2.verify.wire.scores import TokenScore, usable

# The mean may be `Probe.tolerance` in nats. One likely token may differ by this many tolerances:
# by default it is then e^2 = 7 times as likely.
WORST = 20.0
# Likely: 5 % or more in one of the scorings. Below, a few steps of bfloat16 are a large quotient.
LIKELY = math.log(0.05)
# Less likely than this is the same as this.
FLOOR = -12.0
# A mean over fewer tokens says nothing.
FEWEST = 8


@dataclass(frozen=True)
class ScoreDifference:
    """tokens: how many were compared. mean: |difference|, nats a token. worst: of a likely token,
    nats; at: its place. parted: where the texts part, after which nothing is compared."""

    tokens: int
    mean: float
    worst: float
    at: int
    parted: int | None = None

    def exceeds(self, tolerance: float) -> bool:
        """Whether it is more than rounding."""
        return self.mean > tolerance or self.worst > WORST * tolerance

    def __str__(self) -> str:
        return f"{self.mean:.3f} nats a token, {self.worst:.2f} at most"


def difference(
    first: Sequence[TokenScore], second: Sequence[TokenScore], *, chosen: bool = True
) -> ScoreDifference:
    """Compare token by token, up to the first that is not the same.

    chosen: both sides chose their tokens, so that the first that is not the same is compared too,
    by what `second` says about `first`'s token there.
    """
    found: list[float] = []
    likely: list[tuple[float, int]] = [(0.0, 0)]
    parted = None
    for place, (one, other) in enumerate(zip(first, second, strict=False)):
        same = one.token == other.token
        if not same:
            parted = place
            if not chosen:
                break
        said = other.logprob if same else said_of(one.token, other)
        if one.logprob is not None and said is not None and one.usable and usable(said):
            apart = abs(max(one.logprob, FLOOR) - max(said, FLOOR))
            found.append(apart)
            if max(one.logprob, said) >= LIKELY:
                likely.append((apart, place))
        if not same:
            break
    mean = sum(found) / len(found) if found else 0.0
    worst, at = max(likely)
    return ScoreDifference(len(found), mean, worst, at, parted)


def said_of(token: str, other: TokenScore) -> float | None:
    """What a place says about a token: its entry among the likeliest, at most the last of them."""
    listed = [value for value in other.top.values() if value is not None and usable(value)]
    return other.top.get(token, min(listed, default=None))


def joined(differences: Sequence[ScoreDifference]) -> ScoreDifference:
    """All of them as one; `at` and `parted` are of the worst."""
    if not differences:
        return ScoreDifference(0, 0.0, 0.0, 0)
    tokens = sum(one.tokens for one in differences)
    mean = sum(one.mean * one.tokens for one in differences) / max(tokens, 1)
    worst = max(differences, key=lambda one: one.worst)
    return ScoreDifference(tokens, mean, worst.worst, worst.at, worst.parted)


def divergence(first: Sequence[TokenScore], second: Sequence[TokenScore]) -> list[float]:
    """KL(first || second) in nats at each place that both score, a lower bound.

    Only tokens that both list are compared one by one; what is left of each side's probability is
    compared as one more token, which never makes the divergence larger.
    """
    found: list[float] = []
    for one, other in zip(first, second, strict=False):
        shared = {
            token: (p, other.top[token])
            for token, p in one.top.items()
            if usable(p) and usable(other.top.get(token))
        }
        if not shared:
            continue
        pairs = [(share(p), share(q)) for p, q in shared.values()]
        rest = (
            max(1.0 - sum(p for p, _ in pairs), 1e-6),
            max(1.0 - sum(q for _, q in pairs), 1e-6),
        )
        found.append(sum(p * math.log(p / q) for p, q in [*pairs, rest]))
    return found


def share(logprob: float | None) -> float:
    """The probability; never 0, of which there is no logarithm."""
    return math.exp(max(FLOOR if logprob is None else logprob, 2 * FLOOR))
