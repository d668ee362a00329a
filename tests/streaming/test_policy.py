"""The cache's policy on a skewed trace whose skew is published (checkpoint.synthetic)."""

import pytest

from openk2.streaming import AgedFrequency

from .simulation import hits_aged, hits_lru, hits_optimal, routing_trace

LAYERS, EXPERTS, CHOSEN = 6, 96, 6


@pytest.mark.parametrize("share", [0.05, 0.12, 0.3])
def test_it_beats_lru_and_comes_near_the_optimum(share: float) -> None:
    trace = routing_trace(LAYERS, EXPERTS, CHOSEN, tokens=300, seed=1)
    slots = int(share * LAYERS * EXPERTS)
    aged = hits_aged(trace, slots, LAYERS * EXPERTS, LAYERS)
    lru, best = hits_lru(trace, slots), hits_optimal(trace, slots)
    print(f"{share:.0%} in memory: LRU {lru:.3f}, aged frequency {aged:.3f}, optimum {best:.3f}")
    assert aged > lru + 0.05
    assert aged > 0.6 * best


def test_what_was_popular_is_forgotten() -> None:
    policy = AgedFrequency(2, half_life=4)
    policy.use(0, 8)
    policy.advance(40)
    policy.use(1, 1)
    assert policy.least([0, 1]) == 0


def test_scores_stay_finite_and_in_order_for_ever() -> None:
    policy = AgedFrequency(3, half_life=1)
    for _ in range(400):
        policy.advance(1)
        policy.use(1, 1)
    policy.use(2, 3)
    assert policy.least([2, 1, 0]) == 0
    assert policy.least([2, 1]) == 1
    assert policy.least([]) is None
