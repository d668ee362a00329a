"""The regular expression of a range of whole numbers holds these and no others."""

import re

from hypothesis import given
from hypothesis import strategies as st

from openk2.grammar.lark.whole_numbers import whole_numbers


@given(st.integers(-1100, 1100), st.integers(0, 2200), st.integers(-1300, 1300))
def test_a_short_number_is_written_if_and_only_if_it_is_in_the_range(
    low: int, more: int, value: int
) -> None:
    found = re.fullmatch(whole_numbers(low, low + more), str(value))
    assert (found is not None) == (low <= value <= low + more)
    assert not re.fullmatch(whole_numbers(-5, 5), "-0")


@given(st.integers(-(10**40), 10**40), st.integers(0, 10**41), st.integers(-2, 2))
def test_the_ends_of_a_range_of_long_numbers_are_exact(low: int, more: int, beside: int) -> None:
    high = low + more
    pattern = whole_numbers(low, high)
    for value in (low + beside, high + beside, beside):
        assert bool(re.fullmatch(pattern, str(value))) == (low <= value <= high)
