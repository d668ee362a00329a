import math

import pytest
import torch
from torch import nn

from openk2.optim.gradient_norm import clip_gradients


def with_gradients(*norms: float) -> list[nn.Parameter]:
    """Parameters [2, 3] whose gradients have these norms."""
    parameters = [nn.Parameter(torch.zeros(2, 3)) for _ in norms]
    for parameter, norm in zip(parameters, norms, strict=True):
        parameter.grad = torch.full((2, 3), norm / math.sqrt(6))
    return parameters


@pytest.mark.parametrize("limit", [1.0, 100.0])
def test_gradients_above_the_limit_shrink_by_one_factor_and_others_rest(limit: float) -> None:
    ours, theirs = with_gradients(3.0, 4.0), with_gradients(3.0, 4.0)
    without = nn.Parameter(torch.zeros(4))
    assert float(clip_gradients([*ours, without], limit)) == pytest.approx(5.0)
    nn.utils.clip_grad_norm_(theirs, limit)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert without.grad is None


def test_a_gradient_that_is_not_finite_leaves_all_as_they_were() -> None:
    parameters = with_gradients(3.0, math.nan)
    before = parameters[0].grad.clone()
    assert not clip_gradients(parameters, 1.0).isfinite()
    assert torch.equal(parameters[0].grad, before)


def test_what_several_ranks_hold_counts_once() -> None:
    """On each of four ranks a copy counts a quarter; their sum is the whole."""
    shared, own = with_gradients(4.0, 3.0)
    norm = clip_gradients([shared, own], 100.0, copies=lambda p: 4 if p is shared else 1)
    assert float(norm) == pytest.approx(math.sqrt(16 / 4 + 9))


def test_no_gradients_have_norm_zero() -> None:
    assert float(clip_gradients([nn.Parameter(torch.zeros(2))], 1.0)) == 0.0
