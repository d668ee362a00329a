"""Block fp8 against a loop over blocks, and its stated error bound."""

import pytest
import torch
from torch import Tensor

from openk2.kernels.block_fp8 import dequantize, dequantize_natively, quantize

SHAPES = [(128, 128), (576, 384), (200, 130), (1, 1), (129, 64), (40, 300)]
BLOCKS = [(128, 128), (32, 64)]


def random_weight(shape: tuple[int, int], spread: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    magnitude = torch.randn(shape, generator=generator).mul(spread).exp()
    return torch.randn(shape, generator=generator) * magnitude


def dequantize_by_block(weight: Tensor, scale_inv: Tensor, block: tuple[int, int]) -> Tensor:
    result = torch.zeros(weight.shape)
    for i in range(scale_inv.shape[0]):
        for j in range(scale_inv.shape[1]):
            where = slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1])
            result[where] = weight[where].float() * scale_inv[i, j]
    return result


def quantize_by_block(weight: Tensor, block: tuple[int, int]) -> tuple[Tensor, Tensor]:
    scale_inv = torch.zeros(-(-weight.shape[0] // block[0]), -(-weight.shape[1] // block[1]))
    quantized = torch.zeros(weight.shape, dtype=torch.float8_e4m3fn)
    for i in range(scale_inv.shape[0]):
        for j in range(scale_inv.shape[1]):
            where = slice(i * block[0], (i + 1) * block[0]), slice(j * block[1], (j + 1) * block[1])
            scale_inv[i, j] = weight[where].abs().max() / 448
            quantized[where] = (weight[where] / scale_inv[i, j]).to(torch.float8_e4m3fn)
    return quantized, scale_inv


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_quantizing_equals_the_loop_over_blocks(
    shape: tuple[int, int], block: tuple[int, int]
) -> None:
    weight = random_weight(shape)
    quantized, scale_inv = quantize(weight, block)
    expected, expected_scale = quantize_by_block(weight, block)
    assert torch.equal(scale_inv, expected_scale)
    assert torch.equal(quantized.float(), expected.float())


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dequantizing_equals_the_loop_over_blocks(
    shape: tuple[int, int], block: tuple[int, int], dtype: torch.dtype
) -> None:
    quantized, scale_inv = quantize(random_weight(shape), block)
    expected = dequantize_by_block(quantized, scale_inv, block).to(dtype)
    assert torch.equal(dequantize(quantized, scale_inv, block, dtype), expected)
    out = torch.empty(shape, dtype=dtype)
    assert dequantize(quantized, scale_inv, block, out=out) is out
    assert torch.equal(out, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_e4m3_value_is_dequantized_by_the_native_kernel_as_by_torch(
    isa: str, dtype: torch.dtype
) -> None:
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn).repeat(5, 1)
    for scale in (1.0, 0.37, 1e-30, 3e38):
        scales = torch.tensor([[scale, scale / 3, scale / 7]])
        for width in (256, 250, 3):
            out = torch.empty(5, width, dtype=dtype)
            used = scales[:, : -(-width // 100)]
            assert dequantize_natively(codes[:, :width], used, (9, 100), out, isa)
            factors = scales.repeat_interleave(100)[:width]
            expected = (codes[:, :width].float() * factors).to(dtype)
            torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_round_trip_stays_within_the_stated_error(dtype: torch.dtype) -> None:
    weight = random_weight((576, 300)).to(dtype)
    quantized, scale_inv = quantize(weight)
    scales = scale_inv.repeat_interleave(128, 0)[:576].repeat_interleave(128, 1)[:, :300]
    error = (dequantize(quantized, scale_inv, dtype=torch.float32) - weight.float()).abs()
    bound = torch.maximum(weight.float().abs() / 16, scales / 1024)
    assert (error <= bound * (1 + 1e-6)).all()


def test_quantizing_what_was_dequantized_changes_nothing() -> None:
    quantized, scale_inv = quantize(random_weight((300, 300)))
    again, scale_again = quantize(dequantize(quantized, scale_inv, dtype=torch.float32))
    torch.testing.assert_close(scale_again, scale_inv, rtol=2e-7, atol=0)
    assert torch.equal(again.float(), quantized.float())


@pytest.mark.parametrize("value", [0.0, 1e-44, 3e38])
def test_blocks_of_zeros_and_of_extreme_values_survive(value: float) -> None:
    weight = torch.full((128, 256), value)
    weight[:, 128:] = 1.0
    restored = dequantize(*quantize(weight), dtype=torch.float32)
    assert torch.isfinite(restored).all()
    assert (restored[:, :128] - value).abs().max() <= max(value / 16, 1e-40)
    torch.testing.assert_close(restored[:, 128:], weight[:, 128:])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(value: float) -> None:
    weight = torch.ones(130, 130)
    weight[129, 129] = value
    with pytest.raises(ValueError, match="inf or nan"):
        quantize(weight)


def test_scales_of_the_wrong_shape_are_refused_with_the_shape_needed() -> None:
    quantized, scale_inv = quantize(torch.ones(576, 256))
    with pytest.raises(ValueError, match=r"\[4, 2\].*576 x 256.*needs \[5, 2\]"):
        dequantize(quantized, scale_inv[:4])
