"""How scorings are compared: what counts, what is left out, and what a bound means."""

import math

import pytest

from openk2.verify.differences import difference, divergence, joined
from openk2.verify.wire.scores import TokenScore


def scores(*pairs, top=()):
    return tuple(TokenScore(token, logprob, dict(top)) for token, logprob in pairs)


def test_the_mean_is_over_all_tokens_and_the_worst_over_likely_ones():
    first = scores(("a", -0.1), ("b", -6.0), ("c", -1.0))
    second = scores(("a", -0.2), ("b", -9.0), ("c", -1.5))
    found = difference(first, second)
    assert found.mean == pytest.approx((0.1 + 3.0 + 0.5) / 3)
    assert (found.worst, found.at) == (pytest.approx(0.5), 2)


def test_one_likely_token_far_off_is_a_fault_though_the_mean_is_small():
    first = scores(*[("a", -0.5)] * 99, ("b", -0.1))
    second = scores(*[("a", -0.5)] * 99, ("b", -4.0))
    found = difference(first, second)
    assert found.mean < 0.1
    assert found.exceeds(0.1)
    assert not difference(first, first).exceeds(0.0)


def test_below_the_floor_nothing_differs():
    found = difference(scores(("a", -14.0)), scores(("a", -90.0)))
    assert found.mean == 0


def test_where_answers_part_the_other_side_is_asked_about_the_token_and_then_no_more():
    first = scores(("a", -1.0), ("b", -0.3), ("c", -1.0))
    second = scores(("a", -1.0), ("x", -0.2), top={"b": -2.3}.items()) + scores(("c", -9.0))
    found = difference(first, second)
    assert (found.tokens, found.parted) == (2, 1)
    assert found.worst == pytest.approx(2.0)
    assert difference(first, second, chosen=False).tokens == 1


def test_a_token_that_is_not_listed_is_at_most_as_likely_as_the_last_that_is():
    first = scores(("b", -0.3))
    second = scores(("x", -0.2), top={"x": -0.2, "y": -5.3}.items())
    assert difference(first, second).worst == pytest.approx(5.0)


@pytest.mark.parametrize("odd", [None, math.nan, -math.inf, -9999.0])
def test_what_is_no_number_is_not_compared(odd):
    assert difference(scores(("a", odd), ("b", -1.0)), scores(("a", -1.0), ("b", -1.0))).tokens == 1


def test_texts_are_joined_by_their_tokens():
    one = difference(scores(*[("a", -1.0)] * 3), scores(*[("a", -2.0)] * 3))
    other = difference(scores(("a", -1.0)), scores(("a", -1.0)))
    both = joined([one, other])
    assert (both.tokens, both.mean, both.worst) == (4, pytest.approx(0.75), pytest.approx(1.0))
    assert joined([]).tokens == 0


def place(**probabilities):
    return (TokenScore("a", -1.0, {t: math.log(p) for t, p in probabilities.items()}),)


def test_divergence_is_zero_for_the_same_and_no_larger_than_the_truth():
    right, other = place(a=0.6, b=0.3), place(a=0.3, b=0.6)
    assert divergence(right, right) == [pytest.approx(0.0)]
    truth = 0.6 * math.log(2) - 0.3 * math.log(2)
    assert divergence(right, other) == [pytest.approx(truth)]
    assert 0 < divergence(right, place(a=0.3, c=0.6))[0] < truth + 0.3
    assert divergence(right, place(c=0.6)) == []
