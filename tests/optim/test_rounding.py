"""Stochastic rounding: to a neighbour, right on average, reproducible."""

import pytest
import torch

from openk2.optim.rounding import is_narrow, round_stochastically, rounding_noise

CPU = torch.device("cpu")


def rounded(values: torch.Tensor, dtype: torch.dtype, *, step: int = 1) -> torch.Tensor:
    into = torch.empty(values.shape, dtype=dtype)
    round_stochastically(values, into, rounding_noise(CPU, step, 0, 0))
    return into


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_the_type_holds_is_kept_and_the_rest_goes_to_a_neighbour(dtype: torch.dtype) -> None:
    held = torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(rounded(held.float(), dtype), held)
    values = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    result = rounded(values, dtype).float()
    assert ((result - values).abs() < values.abs() * torch.finfo(dtype).eps).all()
    assert (result != values.to(dtype).float()).any(), "never away from the nearest"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_a_value_between_two_goes_up_as_often_as_it_is_near_the_upper(
    dtype: torch.dtype, share: float
) -> None:
    gap = torch.finfo(dtype).eps
    values = torch.full((20_000,), 1.0 + share * gap)
    result = rounded(values, dtype).float()
    assert set(result.tolist()) == {1.0, 1.0 + gap}
    assert ((result > 1.0).float().mean() - share).abs() < 0.02


def test_the_noise_follows_from_step_parameter_and_row() -> None:
    draws = {
        key: torch.rand(4, generator=rounding_noise(CPU, *key)).tolist()
        for key in ((1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1))
    }
    assert len({tuple(draw) for draw in draws.values()}) == len(draws)
    again = torch.rand(4, generator=rounding_noise(CPU, 1, 0, 0)).tolist()
    assert again == draws[1, 0, 0]


def test_the_16_bit_types_are_narrow() -> None:
    types = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
    assert [is_narrow(torch.zeros(1, dtype=dtype)) for dtype in types] == [True, True, False, False]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_what_is_not_finite_stays_so_whatever_its_bits(dtype: torch.dtype) -> None:
    """CUDA's NaN is 0x7fffffff; random bits added to it would wrap to a zero."""
    patterns = [0x7FFFFFFF, 0x7FC00000, 0x7F800001, -1, -(1 << 22), 0x7F800000, -(1 << 23)]
    values = torch.tensor(patterns, dtype=torch.int32).view(torch.float32).repeat(200)
    assert torch.equal(rounded(values, dtype).float().nan_to_num(7.0), values.nan_to_num(7.0))
