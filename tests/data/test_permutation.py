from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.data.permutation import permuted


@given(size=st.integers(1, 700), key=st.integers(0, 2**63))
def test_every_number_comes_once(size: int, key: int) -> None:
    assert sorted(permuted(place, size, (key,)) for place in range(size)) == list(range(size))


def test_orders_of_four_are_equally_frequent() -> None:
    orders = Counter(tuple(permuted(n, 4, (1, key)) for n in range(4)) for key in range(4800))
    assert len(orders) == 24
    # 200 expected of each; 1.5 times the 99.9 % quantile of chi-square with 23 degrees of freedom.
    assert sum((count - 200) ** 2 / 200 for count in orders.values()) < 75


def test_neighbours_are_torn_apart() -> None:
    size = 100_000
    order = [permuted(place, size, (5, 0, 1)) for place in range(5000)]
    gaps = [abs(one - other) for one, other in pairwise(order)]
    assert sum(gaps) / len(gaps) == pytest.approx(size / 3, rel=0.03)
    again = [permuted(place, size, (5, 0, 2)) for place in range(5000)]
    # Two orders share about 5000 / 20 of their first twentieth's numbers.
    assert len(set(order) & set(again)) == pytest.approx(250, abs=60)


def test_trillions_are_no_larger_than_one() -> None:
    size = 10**12 + 39
    assert 0 <= permuted(size - 1, size, (1,)) < size
    with pytest.raises(IndexError, match="place 7 is outside of 0 to 6"):
        permuted(7, 7, (1,))
