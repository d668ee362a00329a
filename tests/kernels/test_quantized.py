"""Products with weights that stay as a checkpoint stores them.

The claim is one of bits: such a product is that of the weight dequantized to float32, or to
bfloat16 where both operands of a bfloat16 product are; so the error bounds of `test_linear` and
`test_experts` hold for it.
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.kernels import (
    Fp8Weight,
    Int4Weight,
    PackedExperts,
    PackedLinear,
    PackedSwiGLU,
    native,
    quantize,
    quantize_int4,
)
from openk2.kernels.experts import experts_twin
from openk2.kernels.panels import empty_panels, layout_of

ROWS = st.sampled_from([1, 2, 3, 5, 6, 7, 12, 13, 25, 64, 193])
WIDTHS = st.sampled_from([8, 32, 40, 128, 136, 264, 520])
FORMATS = st.sampled_from(["fp8", "fp8 in 16 x 8", "fp8 in 32 x 128", "int4", "int4 in 8"])
SEEDS = st.integers(0, 2**32)


def quantized(weight, how):
    if how.startswith("int4"):
        group = 8 if how == "int4 in 8" or weight.shape[1] % 32 else 32
        return Int4Weight(*quantize_int4(weight, group))
    block = {"fp8": (128, 128), "fp8 in 16 x 8": (16, 8), "fp8 in 32 x 128": (32, 128)}[how]
    return Fp8Weight(*quantize(weight, block), block)


def product_dtype(pairs_meet, isa, x_dtype):
    """What a quantized weight becomes where it meets rows of x_dtype."""
    return torch.bfloat16 if pairs_meet(isa, x_dtype) else torch.float32


@given(rows=ROWS, columns=st.integers(1, 300), k=WIDTHS, how=FORMATS, seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_product_has_the_bits_of_the_dequantized_weight_in_any_company(
    isa, x_dtype, pairs_meet, random_tensor, using_threads, rows, columns, k, how, seed
):
    x = random_tensor(seed, rows, k, dtype=x_dtype)
    stored = quantized(random_tensor(seed + 1, columns, k), how)
    packed = PackedLinear.pack(stored, isa)
    plain = stored.dequantize(product_dtype(pairs_meet, isa, x_dtype))
    with using_threads(2):
        together = packed(x, torch.float32)
    assert torch.equal(together, PackedLinear.pack(plain, isa)(x, torch.float32))
    for row in {0, rows // 2, rows - 1}:
        assert torch.equal(packed(x[row], torch.float32), together[row])
    exact = F.linear(x.double(), plain.double())
    magnitude = F.linear(x.double().abs(), plain.double().abs())
    assert ((together - exact).abs() <= (k + 2) * 2**-24 * magnitude).all()


@given(columns=st.integers(1, 70), k=st.integers(1, 270), seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_fp8_rows_need_not_fill_whole_steps(isa, random_tensor, columns, k, seed):
    x, stored = random_tensor(seed, 9, k), quantized(random_tensor(seed, columns, k), "fp8")
    plain = PackedLinear.pack(stored.dequantize(torch.float32), isa)(x)
    assert torch.equal(PackedLinear.pack(stored, isa)(x), plain)


@pytest.mark.parametrize("multiplier", [1.0, 3e-5, 2**-130, 200.0])
def test_every_e4m3_number_is_exact(isa, multiplier):
    codes = torch.arange(256, dtype=torch.uint8)
    codes = codes[(codes & 0x7F) != 0x7F].view(torch.float8_e4m3fn)[:, None]
    weight = Fp8Weight(codes, torch.full((2, 1), multiplier))
    one = torch.ones(1, 1)
    assert torch.equal(PackedLinear.pack(weight, isa)(one)[0], codes[:, 0].float() * multiplier)


@pytest.mark.parametrize("how", ["fp8", "int4"])
@given(rows=ROWS, shape=st.sampled_from([(3, 32, 64), (5, 160, 96), (2, 128, 256)]), seed=SEEDS)
@settings(max_examples=12, deadline=None)
def test_experts_have_the_bits_of_dequantized_ones_in_any_company(
    isa, x_dtype, pairs_meet, random_tensor, how, rows, shape, seed
):
    count, inner, hidden = shape
    torch.manual_seed(seed)
    x, weights = random_tensor(seed, rows, hidden, dtype=x_dtype), torch.rand(rows, 2)
    chosen = torch.rand(rows, count).argsort(dim=-1)[:, :2]
    stored = [
        tuple(
            quantized(random_tensor(seed + 3 * e + i, *size).mul(size[1] ** -0.5), how)
            for i, size in enumerate(((inner, hidden), (inner, hidden), (hidden, inner)))
        )
        for e in range(count)
    ]
    dtype = product_dtype(pairs_meet, isa, x_dtype)
    stacks = [
        torch.stack([w.dequantize(dtype) for w in part]) for part in zip(*stored, strict=True)
    ]
    packed = PackedExperts.gather(count, lambda e: stored[e], isa)
    together = packed(x, weights, chosen)
    assert torch.equal(together, PackedExperts.pack(*stacks, isa)(x, weights, chosen))
    for row in {0, rows // 2, rows - 1}:
        one = slice(row, row + 1)
        assert torch.equal(packed(x[one], weights[one], chosen[one]), together[one])
    alone = PackedSwiGLU.pack(*stored[0], isa)(x)
    assert torch.equal(alone, PackedSwiGLU.pack(*(stack[0] for stack in stacks), isa)(x))
    twin = experts_twin(x.float(), weights, chosen, stored)
    plain = experts_twin(x.float(), weights, chosen, list(zip(*map(list, stacks), strict=True)))
    # Where pairs of bfloat16 meet, `stacks` are rounded to it: the largest of 49,408 differs most.
    torch.testing.assert_close(twin, plain, rtol=0.02, atol=0.05)


@pytest.mark.parametrize(("how", "share"), [("fp8", 1.01), ("int4", 0.5 + 2 / 32 + 0.001)])
def test_a_packed_weight_takes_what_the_checkpoint_does(random_tensor, how, share):
    stored = quantized(random_tensor(0, 256, 1024), how)
    panels = empty_panels(layout_of(stored), 1, *stored.shape, beside=False)
    assert panels.nbytes <= share * 256 * 1024


def test_the_twin_dequantizes(monkeypatch, random_tensor):
    monkeypatch.setattr(native, "library", lambda: None)
    x = random_tensor(0, 5, 64, dtype=torch.bfloat16)
    for how in ("fp8", "int4"):
        stored = quantized(random_tensor(1, 40, 64), how)
        exact = F.linear(x.float(), stored.dequantize(torch.float32))
        assert torch.equal(PackedLinear.pack(stored)(x, torch.float32), exact)


def test_what_the_kernels_cannot_hold_is_refused(isa, random_tensor):
    values, multipliers = quantize(random_tensor(0, 40, 256))
    broken = values.clone()
    broken.view(torch.uint8)[17, 5] = 0xFF
    with pytest.raises(ValueError, match="holds NaN"):
        PackedLinear.pack(Fp8Weight(broken, multipliers), isa)
    for wrong in (256.0, torch.nan, -torch.inf):
        with pytest.raises(ValueError, match="not below 256"):
            PackedLinear.pack(Fp8Weight(values, multipliers.clone().fill_(wrong)), isa)
    with pytest.raises(ValueError, match=r"multipliers are \[1, 2\]: \[1, 4\]"):
        PackedLinear.pack(Fp8Weight(values, multipliers, (128, 64)), isa)
    for block in ((8, 128), (128, 256), (128, 2)):
        with pytest.raises(ValueError, match="dequantize the weight"):
            PackedLinear.pack(Fp8Weight(*quantize(random_tensor(0, 40, 256), block), block), isa)
    words, scales = quantize_int4(random_tensor(0, 40, 256))
    with pytest.raises(ValueError, match="NaN or infinite"):
        PackedLinear.pack(Int4Weight(words, scales * torch.nan), isa)
    with pytest.raises(ValueError, match="dequantize the weight"):
        PackedLinear.pack(Int4Weight(words, scales[:, :1].contiguous()), isa)
    with pytest.raises(TypeError, match=r"block-fp8 in 128 x 128, .* one dtype"):
        PackedSwiGLU.pack(
            Fp8Weight(values, multipliers),
            random_tensor(0, 40, 256),
            random_tensor(0, 256, 40),
            isa,
        )
