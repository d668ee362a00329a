"""Tile fp8 against a loop over tiles, and its stated error bound."""

import pytest
import torch
from torch import Tensor

from openk2.kernels.tile_fp8 import dequantize_tiles, quantize_tiles


def activations(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    magnitude = torch.randn(shape, generator=generator).mul(3.0).exp()
    return (torch.randn(shape, generator=generator) * magnitude).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(3, 256), (2, 5, 200), (7, 1), (0, 128)])
def test_quantizing_equals_the_loop_over_tiles_of_128(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = activations(shape, dtype)
    quantized, scales = quantize_tiles(x)
    restored = dequantize_tiles(quantized, scales, dtype)
    assert quantized.shape == x.shape
    assert restored.dtype == dtype
    for row, found, back in zip(
        x.flatten(0, -2), quantized.flatten(0, -2), restored.flatten(0, -2), strict=True
    ):
        for start in range(0, len(row), 128):
            tile = row[start : start + 128].float()
            scale = (tile.abs().max() / 448).clamp(min=torch.finfo(torch.float32).tiny)
            expected = (tile / scale).to(torch.float8_e4m3fn)
            assert torch.equal(found[start : start + 128].float(), expected.float())
            assert torch.equal(back[start : start + 128], (expected.float() * scale).to(dtype))


def test_the_round_trip_stays_within_the_stated_error() -> None:
    x = activations((64, 300), torch.float32)
    quantized, scales = quantize_tiles(x)
    error = (dequantize_tiles(quantized, scales, torch.float32) - x).abs()
    per_value = scales.repeat_interleave(128, -1)[:, :300]
    assert (error <= torch.maximum(x.abs() / 16, per_value / 1024) * (1 + 1e-6)).all()
    assert (error > x.abs() / 20).any(), "the bound is not loose"


def test_a_rows_bits_do_not_depend_on_its_batch() -> None:
    x = activations((9, 256), torch.bfloat16)
    whole, alone = quantize_tiles(x), quantize_tiles(x[4:5])
    assert torch.equal(whole[0][4:5].float(), alone[0].float())
    assert torch.equal(whole[1][4:5], alone[1])


def test_a_value_that_is_not_finite_stays_so() -> None:
    x = torch.ones(1, 256)
    x[0, 3] = torch.inf
    restored = dequantize_tiles(*quantize_tiles(x), torch.float32)
    assert restored[0, :128].isnan().any()
    assert torch.equal(restored[0, 128:], x[0, 128:])
