"""The rows of a run follow from the seed and their number alone."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.data import PackedRows
from openk2.data.mixture import BLOCK, Mixture

WEIGHTS = (0.55, 0.25, 0.15, 0.05)


def rows(count: int, value: int = 0) -> PackedRows:
    """`count` rows of 4 tokens that all say which row it is."""
    tokens = np.repeat(np.arange(count, dtype=np.int32)[:, None], 4, 1) + np.int32(value)
    return PackedRows(tokens, np.zeros((count, 4), np.int16), np.ones((count, 4), np.bool_))


def mixture(seed: int = 5) -> Mixture:
    """Web, code, mathematics and knowledge, 50, 30, 20 and 7 rows."""
    parts = [rows(count, 1000 * n) for n, count in enumerate((50, 30, 20, 7))]
    return Mixture(parts, WEIGHTS, seed)


@given(
    step=st.integers(0, 10**9),
    ranks=st.sampled_from([1, 2, 3, 4, 6, 12]),
    before=st.lists(st.integers(0, 10**9), max_size=3),
)
@settings(max_examples=20, deadline=None)
def test_a_step_is_the_same_on_any_number_of_ranks_whatever_came_before(
    step: int, ranks: int, before: list[int]
) -> None:
    expected = mixture().batch(step, 12)
    resumed = mixture()
    for other in before:
        resumed.batch(other, 12)
    numbers = range(step * 12, step * 12 + 12)
    shares = [resumed.batch_of(numbers[rank::ranks]).tokens for rank in range(ranks)]
    together = torch.stack(shares, 1).flatten(0, 1)
    assert torch.equal(together, expected.tokens)


@given(seed=st.integers(0, 2**32), batch=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_no_row_comes_twice_within_an_epoch(seed: int, batch: int) -> None:
    source = mixture(seed)
    steps = (3 * 50 * 4) // batch
    places = [source.place(n) for n in range(steps * batch)]
    for part, size in enumerate((50, 30, 20, 7)):
        mine = [index for which, index in places if which == part]
        epochs = [mine[i : i + size] for i in range(0, len(mine), size)]
        for epoch in epochs[:-1]:
            assert sorted(epoch) == list(range(size))
        assert len(set(epochs[-1])) == len(epochs[-1])
        assert len({tuple(epoch) for epoch in epochs[:-1]}) == len(epochs[:-1])


@given(weights=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8), seed=st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_a_parts_share_is_its_weight_to_a_few_rows_over_any_length(
    weights: list[float], seed: int
) -> None:
    source = Mixture([rows(1)] * len(weights), weights, seed)
    for blocks in (1, 7, 1000, 100_000):
        for got, weight in zip(source.epochs(blocks * BLOCK), weights, strict=True):
            # Two ends of an interval, each off by the discrepancy of a golden-ratio sequence.
            wanted = blocks * BLOCK * weight / sum(weights)
            assert abs(got - wanted) <= 2 * (1 + np.log(blocks))


def test_within_a_block_parts_come_in_random_order() -> None:
    source = mixture()
    first = [source.place(n)[0] for n in range(BLOCK)]
    second = [source.place(n)[0] for n in range(BLOCK, 2 * BLOCK)]
    assert first != second
    for begin in range(0, BLOCK, 512):
        counts = Counter(first[begin : begin + 512])
        for part, weight in enumerate(WEIGHTS):
            spread = (512 * weight * (1 - weight)) ** 0.5
            assert abs(counts[part] - 512 * weight) < 4 * spread


def test_epochs_are_counted_to_the_row() -> None:
    source = mixture()
    for count in (1, 100, BLOCK, BLOCK + 17):
        seen = Counter(source.place(n)[0] for n in range(count))
        expected = [seen[part] / size for part, size in enumerate((50, 30, 20, 7))]
        assert source.epochs(count) == pytest.approx(expected)


def test_another_seed_is_another_order() -> None:
    assert not torch.equal(mixture(1).batch(0, 64).tokens, mixture(2).batch(0, 64).tokens)
