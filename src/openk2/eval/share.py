"""`Share`: a part of a whole with its 95 % confidence interval, counted over conversations.

Several turns come from one conversation: they share its tools, its history and its mistakes, so
counting them as independent trials makes an interval too narrow. The unit is the conversation. The
variance of the share is that of a ratio of two sums over conversations (Cochran, Sampling
Techniques, section 6.3); the number of independent trials with that variance goes into Wilson's
interval, which stays within 0 and 1 and is right for small numbers and for shares near the ends,
where resampling conversations (the bootstrap) says 0 to 0 or 1 to 1. F1 is such a ratio too: twice
the turns on which both sides call, of the calling turns of either.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The two-sided 95 % point of the normal distribution.
Z = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """part of whole, and the 95 % interval from low to high; all of 0 to 1 if whole is 0."""

    part: int
    whole: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share; None of nothing."""
        return self.part / self.whole if self.whole else None

    def __str__(self) -> str:
        """Such as `87.5% (79 to 93)`; a dash of nothing."""
        if self.value is None:
            return "-"
        return f"{self.value:.1%} ({100 * self.low:.0f} to {100 * self.high:.0f})"

    def to_json(self) -> dict[str, Any]:
        """The counts, the share and its interval."""
        counts = {"part": self.part, "whole": self.whole}
        return {"share": self.value, "low": self.low, "high": self.high, **counts}


def clustered_share(counts: Iterable[tuple[int, int]]) -> Share:
    """The share of all parts in all wholes. counts: part and whole of each conversation.

    Conversations whose whole is 0 do not count.
    """
    clusters = [(part, whole) for part, whole in counts if whole]
    part, whole = sum(p for p, _ in clusters), sum(w for _, w in clusters)
    if not whole:
        return Share(0, 0, 0.0, 1.0)
    return Share(part, whole, *_wilson(part / whole, _trials(clusters, part / whole, whole)))


def mean_interval(
    mean: float, variance: float, clusters: float, answers: int
) -> tuple[float, float]:
    """The 95 % interval of a mean of values from 0 to 1, by the same rule.

    variance: of the mean, estimated over questions that are worth `clusters` equally weighted ones.
    answers: independent trials at most.
    """
    if not clusters:
        return 0.0, 1.0
    if clusters < 2 or variance < 1e-12:
        return _wilson(mean, clusters)
    return _wilson(mean, min(answers, mean * (1 - mean) / variance))


def _trials(clusters: list[tuple[int, int]], share: float, whole: int) -> float:
    """How many independent trials have the variance that the conversations show.

    At most `whole`. Where there is no variance to be seen, a conversation is one trial.
    """
    count = len(clusters)
    squares = math.fsum((part - share * size) ** 2 for part, size in clusters)
    if count < 2 or squares < 1e-12:
        return count
    variance = count / (count - 1) * squares / whole**2
    return min(whole, share * (1 - share) / variance)


def _wilson(share: float, trials: float) -> tuple[float, float]:
    centre = share + Z**2 / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    scale = 1 + Z**2 / trials
    # Rounding puts the bound of a perfect share a little below 1: the share is always inside.
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(share, low)), min(1.0, max(share, high))
