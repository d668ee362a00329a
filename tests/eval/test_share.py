"""The interval covers the truth as often as it says, also where turns of a conversation agree."""

import math
from random import Random

import pytest

from openk2.eval.share import Z, clustered_share


def wilson(part: int, whole: int) -> tuple[float, float]:
    """The interval of independent trials, by solving |p - share| = Z sqrt(p (1 - p) / n)."""
    share, n = part / whole, whole
    root = Z * math.sqrt(Z * Z + 4 * n * share * (1 - share))
    return (
        (2 * n * share + Z * Z - root) / (2 * (n + Z * Z)),
        (2 * n * share + Z * Z + root) / (2 * (n + Z * Z)),
    )


def clusters(rng: Random, count: int, size: int, agree: float) -> list[tuple[int, int]]:
    """Conversations of truth 0.7 whose turns are all alike with probability `agree`."""
    drawn = []
    for _ in range(count):
        if rng.random() < agree:
            drawn.append((size * (rng.random() < 0.7), size))
        else:
            drawn.append((sum(rng.random() < 0.7 for _ in range(size)), size))
    return drawn


def test_without_a_second_turn_it_is_wilsons_interval() -> None:
    for part, whole in ((0, 30), (3, 30), (30, 30), (170, 400)):
        share = clustered_share([(1, 1)] * part + [(0, 1)] * (whole - part))
        # The sample variance has n - 1 where the binomial one has n.
        assert (share.low, share.high) == pytest.approx(wilson(part, whole), abs=0.01)
        assert (share.part, share.whole) == (part, whole)


@pytest.mark.parametrize("agree", [0.0, 0.5, 1.0])
def test_it_covers_the_truth_about_95_times_of_100(agree: float) -> None:
    rng, inside = Random(5), 0
    for _ in range(400):
        share = clustered_share(clusters(rng, 60, 4, agree))
        inside += share.low <= 0.7 <= share.high
    assert inside >= 0.92 * 400


def test_turns_that_agree_widen_it_to_that_of_their_conversations() -> None:
    rng = Random(6)
    alike = clustered_share(clusters(rng, 200, 5, 1.0))
    conversations = wilson(alike.part // 5, 200)
    assert (alike.low, alike.high) == pytest.approx(conversations, abs=0.01)


def test_it_agrees_with_resampling_the_conversations() -> None:
    rng = Random(7)
    drawn = [(min(size, rng.randint(0, size) + 1), size) for size in (1, 2, 3, 4) * 50]
    share, means = clustered_share(drawn), []
    for _ in range(1500):
        sample = rng.choices(drawn, k=len(drawn))
        means.append(sum(p for p, _ in sample) / sum(w for _, w in sample))
    means.sort()
    assert share.low == pytest.approx(means[37], abs=0.01)
    assert share.high == pytest.approx(means[1462], abs=0.01)


def test_a_perfect_share_is_not_certain_and_nothing_is_unknown() -> None:
    perfect = clustered_share([(5, 5)] * 10)
    assert perfect.value == perfect.high == 1
    # Ten conversations, not fifty trials.
    assert perfect.low == pytest.approx(1 / (1 + Z * Z / 10))
    nothing = clustered_share([(0, 0)])
    assert (nothing.low, nothing.high, str(nothing)) == (0, 1, "-")
