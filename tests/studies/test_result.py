"""What is asked of a finished run."""

import pytest

from openk2.studies.setting import plain
from openk2.studies.size import SMALL

SETTING = plain(SMALL)


def test_tokens_to_a_loss_lie_on_the_line_between_evaluations(planted):
    result = planted(SETTING, [5.0, 4.0, 3.5, 3.6])
    assert result.tokens_to(4.5) == 1500
    assert result.tokens_to(3.75) == 2500
    assert result.tokens_to(6.0) == 1000
    assert result.tokens_to(3.4) is None


def test_the_first_fall_counts_even_if_the_loss_rises_again(planted):
    assert planted(SETTING, [5.0, 4.0, 6.0, 3.0]).tokens_to(4.5) == 1500


def test_heads_that_were_ever_clipped_are_counted_once(planted):
    result = planted(SETTING, [1.0] * 4, [2.0, 9.0, 9.0, 3.0], [0, 1, 1, 0])
    assert result.share_ever_clipped == 0.25
    assert result.clipped_shares == [0, 0.25, 0.25, 0]
    assert (result.last_clip, result.peak_logit) == (2, 9.0)
    assert result.max_logits == [2.0, 9.0, 9.0, 3.0]


def test_a_run_without_clips_has_no_last_one(planted):
    result = planted(SETTING, [1.0])
    assert result.last_clip is None
    assert result.share_ever_clipped == 0
    assert result.final_loss == pytest.approx(1.0)
