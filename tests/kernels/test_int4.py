"""int4 against a loop over values, its stated error bound, and compressed-tensors' own reader."""

import pytest
import torch
from torch import Tensor

from openk2.kernels.int4 import dequantize_int4, pack_int4, quantize_int4, unpack_int4

SHAPES = [(1, 32), (5, 64), (33, 96), (700, 128)]


def random_weight(shape: tuple[int, int], dtype: torch.dtype = torch.bfloat16) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    magnitude = torch.randn(shape, generator=generator).exp()
    return (torch.randn(shape, generator=generator) * magnitude).to(dtype)


def scales_of(weight: Tensor, divisor: float) -> Tensor:
    """Group scales of another writer: largest magnitude / divisor."""
    return (weight.float().unflatten(1, (-1, 32)).abs().amax(-1) / divisor).bfloat16()


def quantized_with(weight: Tensor, scale: Tensor) -> Tensor:
    steps = (weight.float().unflatten(1, (-1, 32)) / scale.float()[..., None]).round()
    return pack_int4(steps.clamp(-8, 7).to(torch.int8).flatten(1))


def test_value_i_of_a_word_is_in_bits_4i_and_up_with_8_added() -> None:
    values = torch.tensor([[-8, 7, 0, -1, 1, 2, 3, -4]], dtype=torch.int8)
    word = sum((int(value) + 8) << (4 * i) for i, value in enumerate(values[0]))
    packed = pack_int4(values)
    assert packed.dtype == torch.int32
    assert packed.item() & 0xFFFFFFFF == word
    assert torch.equal(unpack_int4(packed), values)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_value_is_the_nearest_multiple_of_its_groups_scale(shape: tuple[int, int]) -> None:
    weight = random_weight(shape)
    packed, scale = quantize_int4(weight)
    assert torch.equal(scale, scales_of(weight, 7))
    assert torch.equal(packed, quantized_with(weight, scale))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_error_stays_within_the_stated_bound(dtype: torch.dtype) -> None:
    weight = random_weight((200, 256), dtype)
    restored = dequantize_int4(*quantize_int4(weight), dtype=torch.float32)
    largest = weight.float().unflatten(1, (-1, 32)).abs().amax(-1, keepdim=True)
    error = (restored - weight.float()).abs().unflatten(1, (-1, 32))
    assert (error <= largest / 14 * (1 + 2**-8)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("divisor", [7.0, 7.5, 8.0])
def test_int4_to_floats_to_int4_changes_no_value(dtype: torch.dtype, divisor: float) -> None:
    """Also for scales of other writers, as long as a group reaches 7 or -8."""
    weight = random_weight((700, 256))
    scale = scales_of(weight, divisor)
    restored = dequantize_int4(quantized_with(weight, scale), scale, dtype)
    assert torch.equal(dequantize_int4(*quantize_int4(restored), dtype), restored)


def test_scales_that_rounding_to_bfloat16_moved_are_found_again() -> None:
    weight = torch.randn(700, 256, generator=torch.Generator().manual_seed(0))
    packed, scale = quantize_int4(weight)
    restored = dequantize_int4(packed, scale)
    assert not torch.equal(scales_of(restored, 7), scale)
    again, scale_again = quantize_int4(restored)
    assert torch.equal(scale_again, scale)
    assert torch.equal(again, packed)


def test_dequantizing_rounds_the_exact_product_once() -> None:
    scale = torch.tensor([[0.3, 1e-30, 3e38 / 8]]).bfloat16()
    values = torch.arange(-8, 8, dtype=torch.int8).repeat(6)[None]
    exact = values.double() * scale.double().repeat_interleave(32, 1)
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(dequantize_int4(pack_int4(values), scale, dtype), exact.to(dtype))
        out = torch.empty(1, 96, dtype=dtype)
        assert dequantize_int4(pack_int4(values), scale, out=out) is out
        assert torch.equal(out, exact.to(dtype))


@pytest.mark.parametrize("value", [0.0, 1e-44, 3e38])
def test_groups_of_zeros_and_of_extreme_values_survive(value: float) -> None:
    weight = torch.full((4, 64), value)
    weight[:, 32:] = 1.0
    restored = dequantize_int4(*quantize_int4(weight), dtype=torch.float32)
    assert (restored[:, :32] - value).abs().max() <= max(value / 14, 1e-38)
    torch.testing.assert_close(restored[:, 32:], weight[:, 32:], rtol=2**-8, atol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_refused(value: float) -> None:
    weight = torch.ones(3, 64)
    weight[2, 63] = value
    with pytest.raises(ValueError, match="inf or nan"):
        quantize_int4(weight)


@pytest.mark.parametrize(("width", "group"), [(40, 32), (64, 4), (64, 0), (64, 12)])
def test_rows_that_groups_do_not_divide_are_refused(width: int, group: int) -> None:
    with pytest.raises(ValueError, match=f"{width} values.*groups of {group}"):
        quantize_int4(torch.ones(2, width), group)


def test_scales_of_the_wrong_shape_are_refused_with_the_shape_needed() -> None:
    packed, scale = quantize_int4(torch.ones(4, 96))
    for wrong in (scale[:3], scale[:, :0], scale[0], scale.repeat(1, 5)):
        with pytest.raises(ValueError, match=r"4 x 96 needs \[4, groups\]"):
            dequantize_int4(packed, wrong)
    with pytest.raises(ValueError, match="do not fill words of 8"):
        pack_int4(torch.zeros(2, 12, dtype=torch.int8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_compressed_tensors_reads_ours_and_we_read_its_bit_for_bit(dtype: torch.dtype) -> None:
    packing = pytest.importorskip("compressed_tensors.compressors.pack_quantized")
    quantization = pytest.importorskip("compressed_tensors.quantization")
    arguments = quantization.QuantizationArgs(
        num_bits=4, type="int", symmetric=True, strategy="group", group_size=32
    )
    scheme = quantization.QuantizationScheme(targets=["Linear"], weights=arguments)
    compressor = packing.PackedQuantizationCompressor
    weight = random_weight((128, 512))
    theirs = compressor.compress({"weight": weight, "weight_scale": scales_of(weight, 7.5)}, scheme)
    expected = compressor.decompress(theirs, scheme)["weight"]
    ours = dequantize_int4(theirs["weight_packed"], theirs["weight_scale"], dtype)
    assert torch.equal(ours.bfloat16(), expected)

    packed, scale = quantize_int4(weight)
    read = compressor.decompress(
        {
            "weight_packed": packed,
            "weight_scale": scale,
            "weight_shape": torch.tensor(weight.shape, dtype=torch.int32),
        },
        scheme,
    )["weight"]
    assert torch.equal(read, dequantize_int4(packed, scale))
