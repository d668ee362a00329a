"""Seeded decisions, and how agreement with them is measured."""

import pytest

from openk2.verify.decisions import agreement, decisions


def test_decisions_are_seeded_and_of_both_kinds():
    assert decisions(3) == decisions(3)
    assert decisions(3) != decisions(4)
    found = decisions(0, 24)
    assert sum(decision.call for decision in found) == 12
    assert all(2 <= len(decision.tools) <= 3 for decision in found)


def test_agreement_is_precision_recall_and_their_mean():
    score = agreement([True, True, True, False, False], [True, True, False, True, False])
    assert (score.precision, score.recall) == (2 / 3, 2 / 3)
    assert score.f1 == pytest.approx(2 / 3)
    assert agreement([True, False], [False, False]).f1 == 0
    assert agreement([True, False], [True, False]).f1 == pytest.approx(1)
