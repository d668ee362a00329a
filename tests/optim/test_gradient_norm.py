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


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_norm_and_the_scaling_of_16_bit_gradients_are_computed_in_float32(
    dtype: torch.dtype,
) -> None:
    """600 is held by both types; its square is not by float16, and the norm has more bits."""
    parameters = [nn.Parameter(torch.zeros(9, 37, dtype=dtype)), nn.Parameter(torch.zeros(5))]
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, 600.0)
    norm = clip_gradients(parameters, 1.0)
    assert norm.dtype == torch.float32
    assert float(norm) == pytest.approx(600 * math.sqrt(9 * 37 + 5), rel=1e-6)
    for parameter in parameters:
        torch.testing.assert_close(
            parameter.grad, torch.full_like(parameter, 1 / math.sqrt(9 * 37 + 5))
        )


def test_the_norm_of_one_tensor_may_be_more_than_float16_holds() -> None:
    parameter = nn.Parameter(torch.zeros(300, 300, dtype=torch.float16))
    parameter.grad = torch.full_like(parameter, 60_000.0)
    assert float(clip_gradients([parameter], 1.0)) == pytest.approx(60_000 * 300, rel=1e-4)
    assert float(parameter.grad.float().norm()) == pytest.approx(1.0, rel=1e-3)


def test_a_scalar_parameter_is_clipped_too() -> None:
    parameter = nn.Parameter(torch.zeros((), dtype=torch.bfloat16))
    parameter.grad = torch.full_like(parameter, 8.0)
    assert float(clip_gradients([parameter], 1.0)) == 8.0
    assert float(parameter.grad) == 1.0
