"""Products with packed weights against float64, and bit by bit against themselves in other company.

A sum of K products in float32, in any order, is off by at most (K + 2) * 2^-24 times the sum of
the products' magnitudes; an output in bfloat16 by 2^-8 of itself more.
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.kernels import PackedHeads, PackedLinear
from openk2.kernels.heads import heads_twin
from openk2.kernels.linear import linear_twin

ROWS = st.sampled_from([1, 2, 3, 4, 6, 7, 11, 12, 13, 25, 64, 193, 400])
SIZES = st.integers(1, 140)
LONG = st.sampled_from([511, 514, 1030])  # several blocks of k
SEEDS = st.integers(0, 2**32)


def bound(x, weight):
    """How far a product may be from its exact value."""
    return (x.shape[-1] + 2) * 2**-24 * F.linear(x.double().abs(), weight.double().abs())


@given(rows=ROWS, columns=SIZES, k=SIZES | LONG, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_product_is_the_exact_one_within_the_bound_of_float32_sums(
    isa, x_dtype, weight_dtype, random_tensor, rows, columns, k, seed
):
    x = random_tensor(seed, rows, k, dtype=x_dtype)
    weight = random_tensor(seed + 1, columns, k, dtype=weight_dtype)
    packed = PackedLinear.pack(weight, isa)
    exact = F.linear(x.double(), weight.double())
    assert ((packed(x, torch.float32) - exact).abs() <= bound(x, weight)).all()
    rounded = packed(x, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    assert torch.equal(rounded, packed(x, torch.float32).bfloat16())
    twin = linear_twin(x, weight, torch.float32)
    assert ((twin - exact).abs() <= bound(x, weight)).all()


@given(rows=ROWS, columns=SIZES, k=SIZES | LONG, seed=SEEDS, data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_row_has_the_same_bits_alone_and_in_any_company(
    isa, x_dtype, weight_dtype, random_tensor, using_threads, rows, columns, k, seed, data
):
    x = random_tensor(seed, rows, k, dtype=x_dtype)
    packed = PackedLinear.pack(random_tensor(seed + 1, columns, k, dtype=weight_dtype), isa)
    with using_threads(data.draw(st.sampled_from([1, 2, 5]))):
        together = packed(x)
    for row in {0, rows // 2, rows - 1}:
        assert torch.equal(packed(x[row]), together[row])
    some = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=40))
    with using_threads(data.draw(st.sampled_from([1, 2, 5]))):
        assert torch.equal(packed(x[some]), together[some])


def test_a_wide_weight_gives_the_same_bits_for_every_number_of_rows(isa, x_dtype, weight_dtype):
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(64, 256, generator=generator).to(x_dtype)
    packed = PackedLinear.pack(torch.randn(768, 256, generator=generator).to(weight_dtype), isa)
    whole = packed(x)
    for rows in range(1, 64):
        assert torch.equal(packed(x[:rows]), whole[:rows])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_in_a_row_stays_in_it(isa, x_dtype, weight_dtype, random_tensor, value):
    x = random_tensor(0, 14, 33, dtype=x_dtype)
    packed = PackedLinear.pack(random_tensor(1, 35, 33, dtype=weight_dtype), isa)
    clean = packed(x)
    x[5, 7] = value
    dirty = packed(x)
    others = torch.arange(14) != 5
    assert torch.equal(dirty[others], clean[others])
    assert not dirty[5].isfinite().any()


@given(rows=ROWS, heads=st.integers(1, 5), columns=SIZES, k=SIZES, seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_products_of_heads_are_each_head_s_own(
    isa, x_dtype, weight_dtype, random_tensor, rows, heads, columns, k, seed
):
    x = random_tensor(seed, rows, heads, k, dtype=x_dtype)
    weight = random_tensor(seed + 1, heads, columns, k, dtype=weight_dtype)
    packed = PackedHeads.pack(weight, isa)
    each = [PackedLinear.pack(part, isa)(x[:, h]) for h, part in enumerate(weight)]
    assert torch.equal(packed(x), torch.stack(each, dim=1))
    twin = heads_twin(x, weight, torch.float32)
    for h in range(heads):
        exact = F.linear(x[:, h].double(), weight[h].double())
        assert ((twin[:, h] - exact).abs() <= bound(x[:, h], weight[h])).all()


def test_parts_of_wider_tensors_are_read_and_filled_in_place(isa, random_tensor):
    wide, packed = random_tensor(0, 9, 3, 48), PackedHeads.pack(random_tensor(1, 3, 20, 32), isa)
    out = torch.full((9, 3, 30), 7.0)
    assert packed(wide[..., :32], out=out[..., :20]).data_ptr() == out.data_ptr()
    assert torch.equal(out[..., :20], packed(wide[..., :32].contiguous()))
    assert (out[..., 20:] == 7).all()
    linear = PackedLinear.pack(random_tensor(2, 20, 48), isa)
    linear(wide[:, 1], out=out[:, 2, :20])
    assert torch.equal(out[:, 2, :20], linear(wide[:, 1].contiguous()))
    assert (out[:, 2, 20:] == 7).all()


def test_leading_dimensions_are_kept_and_rows_that_are_columns_are_copied(isa, random_tensor):
    x, packed = random_tensor(0, 4, 5, 24), PackedLinear.pack(random_tensor(1, 10, 24), isa)
    assert packed(x).shape == (4, 5, 10)
    assert torch.equal(packed(x)[2], packed(x[2]))
    assert torch.equal(packed(x[0].T.contiguous().T), packed(x[0]))
    assert packed(x[:0]).shape == (0, 5, 10)


def test_what_does_not_fit_is_refused_by_name(isa, random_tensor):
    packed = PackedLinear.pack(random_tensor(0, 10, 24), isa)
    x = random_tensor(1, 3, 24)
    with pytest.raises(ValueError, match=r"x is \[3, 23\]: this weight takes \[..., 24\]"):
        packed(x[:, :23])
    with pytest.raises(ValueError, match=r"out is \[3, 9\]: x gives \[3, 10\]"):
        packed(x, out=torch.empty(3, 9))
    with pytest.raises(TypeError, match=r"x is torch.float64"):
        packed(x.double())
    with pytest.raises(TypeError, match=r"weight is torch.float16"):
        PackedLinear.pack(x.half(), isa)
    with pytest.raises(RuntimeError, match="requires a gradient"):
        packed(x.requires_grad_())
    with pytest.raises(ValueError, match=r"takes \[T, 2, 24\]"):
        PackedHeads.pack(random_tensor(0, 2, 10, 24), isa)(x)
