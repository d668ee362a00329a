"""Packed experts against float64, and bit by bit against themselves in other company."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.kernels import PackedExperts, PackedSwiGLU
from openk2.kernels.experts import experts_twin

# Of the sum of the terms' magnitudes: float32 throughout, or bfloat16 between the two products.
FLOAT_ERROR, PAIR_ERROR = 2e-5, 2**-8


@st.composite
def layers(draw):
    """Sizes and a seed: experts, inner, hidden, rows, choices."""
    experts = draw(st.integers(1, 9))
    return (
        experts,
        draw(st.integers(1, 70)),
        draw(st.integers(1, 70)),
        draw(st.sampled_from([1, 2, 3, 8, 13, 40, 230])),
        draw(st.integers(1, min(experts, 4))),
        draw(st.integers(0, 2**32)),
    )


def make(sizes, x_dtype, weight_dtype):
    """x, weights, chosen, and the stacks gate, up, down."""
    experts, inner, hidden, rows, choices, seed = sizes
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    stacks = (draw(experts, inner, hidden), draw(experts, inner, hidden))
    stacks = (*stacks, draw(experts, hidden, inner))
    # Not by their own order: the sum's order must not be the choices'.
    chosen = torch.rand(rows, experts, generator=generator).argsort(dim=-1)[:, :choices]
    weights = torch.rand(rows, choices, generator=generator)
    return (
        draw(rows, hidden).to(x_dtype),
        weights,
        chosen,
        *(stack.mul(stack.shape[-1] ** -0.5).to(weight_dtype) for stack in stacks),
    )


def exact(x, weights, chosen, gate, up, down):
    """The sum, and the sum of its terms' magnitudes."""
    x, gate, up, down = x.double(), gate.double(), up.double(), down.double()
    inner = F.silu(torch.einsum("mh,eih->mei", x, gate)) * torch.einsum("mh,eih->mei", x, up)
    shares = torch.zeros(len(x), len(gate), dtype=torch.float64).scatter_add_(
        1, chosen, weights.double()
    )
    inner = inner * shares[..., None]
    total = torch.einsum("mei,ehi->mh", inner, down)
    return total, torch.einsum("mei,ehi->mh", inner.abs(), down.abs())


@given(sizes=layers())
@settings(max_examples=15, deadline=None)
def test_the_sum_is_the_exact_one_within_the_written_error(
    isa, x_dtype, weight_dtype, pairs_meet, sizes
):
    x, weights, chosen, *stacks = make(sizes, x_dtype, weight_dtype)
    total, magnitude = exact(x, weights, chosen, *stacks)
    error = PAIR_ERROR if pairs_meet(isa, x_dtype, weight_dtype) else FLOAT_ERROR
    packed = PackedExperts.pack(*stacks, isa)
    result = packed(x, weights, chosen, torch.float32)
    assert ((result - total).abs() <= error * magnitude + 1e-6).all()
    assert torch.equal(packed(x, weights, chosen), result.to(x_dtype))
    twin = experts_twin(x, weights, chosen, list(zip(*stacks, strict=True)), torch.float32)
    bound = FLOAT_ERROR if x_dtype == torch.float32 else PAIR_ERROR
    assert ((twin - total).abs() <= bound * magnitude + 1e-6).all()


@given(sizes=layers(), data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_row_has_the_same_bits_alone_and_in_any_company(
    isa, x_dtype, weight_dtype, using_threads, sizes, data
):
    x, weights, chosen, *stacks = make(sizes, x_dtype, weight_dtype)
    packed = PackedExperts.pack(*stacks, isa)
    with using_threads(data.draw(st.sampled_from([1, 2, 5]))):
        together = packed(x, weights, chosen)
    some = data.draw(st.lists(st.integers(0, len(x) - 1), min_size=1, max_size=30))
    with using_threads(data.draw(st.sampled_from([1, 2, 5]))):
        assert torch.equal(packed(x[some], weights[some], chosen[some]), together[some])
    row = slice(some[0], some[0] + 1)
    assert torch.equal(packed(x[row], weights[row], chosen[row]), together[row])


@given(sizes=layers())
@settings(max_examples=10, deadline=None)
def test_the_order_of_a_row_s_choices_does_not_matter(isa, sizes):
    x, weights, chosen, *stacks = make(sizes, torch.float32, torch.float32)
    packed = PackedExperts.pack(*stacks, isa)
    turned = packed(x, weights.flip(1), chosen.flip(1))
    assert torch.equal(turned, packed(x, weights, chosen))


@given(sizes=layers())
@settings(max_examples=10, deadline=None)
def test_a_swiglu_is_one_expert_that_every_row_meets(isa, x_dtype, weight_dtype, sizes):
    x, _, _, gate, up, down = make(sizes, x_dtype, weight_dtype)
    alone = PackedSwiGLU.pack(gate[0], up[0], down[0], isa)
    ones, zeros = torch.ones(len(x), 1), torch.zeros(len(x), 1, dtype=torch.int64)
    assert torch.equal(alone(x), PackedExperts.pack(gate, up, down, isa)(x, ones, zeros))


def test_what_does_not_fit_is_refused_by_name(isa):
    sizes = (4, 6, 8, 5, 2, 0)
    x, weights, chosen, gate, up, down = make(sizes, torch.float32, torch.float32)
    packed = PackedExperts.pack(gate, up, down, isa)
    for wrong in (4, -1):
        with pytest.raises(IndexError, match="0 to 3"):
            packed(x, weights, torch.full_like(chosen, wrong))
    with pytest.raises(ValueError, match=r"these experts take \[M, 8\]"):
        packed(x[:, :7], weights, chosen)
    with pytest.raises(ValueError, match=r"chosen \[4, 2\]"):
        packed(x, weights, chosen[:4])
    with pytest.raises(TypeError, match=r"chosen torch.int32"):
        packed(x, weights, chosen.int())
    with pytest.raises(TypeError, match="one dtype"):
        PackedExperts.pack(gate, up, down.bfloat16(), isa)
    with pytest.raises(ValueError, match=r"the same, and \[hidden, inner\]"):
        PackedExperts.pack(gate, up, down.mT, isa)
