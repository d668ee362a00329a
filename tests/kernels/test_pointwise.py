"""Norm, rotation and routing: against torch, and bit by bit against themselves in other company."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.kernels import rms_norm, rotate, route
from openk2.kernels.norm import rms_norm_twin
from openk2.kernels.rotation import rotation_twin
from openk2.kernels.routing import route_twin

ROWS, SEEDS = st.integers(1, 64), st.integers(0, 2**32)


@given(rows=ROWS, width=st.integers(1, 300), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_norm_is_torch_s_and_does_not_depend_on_the_other_rows(
    isa, x_dtype, weight_dtype, random_tensor, rows, width, seed
):
    x = random_tensor(seed, rows, width, dtype=x_dtype)
    weight = random_tensor(seed + 1, width, dtype=weight_dtype)
    normed = rms_norm(x, weight, 1e-6, out_dtype=torch.float32, isa=isa)
    expected = rms_norm_twin(x, weight, 1e-6, torch.float32)
    torch.testing.assert_close(normed, expected, rtol=2e-6, atol=1e-7)
    assert torch.equal(rms_norm(x, weight, 1e-6, isa=isa), normed.to(x_dtype))
    one = rms_norm(x[-1:], weight, 1e-6, out_dtype=torch.float32, isa=isa)
    assert torch.equal(one, normed[-1:])
    assert rms_norm(x, weight, 1e-6, out=x, isa=isa) is x
    assert torch.equal(x, normed.to(x_dtype))


@given(rows=ROWS, heads=st.integers(1, 5), n=st.integers(1, 40), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_rotation_has_the_bits_of_torch_s(isa, x_dtype, random_tensor, rows, heads, n, seed):
    wide = random_tensor(seed, rows, heads, 2 * n + 3, dtype=x_dtype)
    angles = random_tensor(seed + 1, rows, n) * 9
    x, cos, sin = wide[..., 3:], angles.cos(), angles.sin()
    expected = rotation_twin(x, cos, sin)
    assert torch.equal(rotate(x, cos, sin, isa=isa), expected)
    assert rotate(x, cos, sin, out=x, isa=isa) is x
    assert torch.equal(x, expected)


@given(rows=ROWS, experts=st.integers(1, 70), normalise=st.booleans(), seed=SEEDS, data=st.data())
@settings(max_examples=20, deadline=None)
def test_routing_chooses_and_weighs_as_torch_does_whatever_the_other_rows(
    isa, random_tensor, rows, experts, normalise, seed, data
):
    count = data.draw(st.integers(1, min(experts, 9)))
    logits, bias = random_tensor(seed, rows, experts) * 3, random_tensor(seed + 1, experts) * 0.1
    weights, chosen = route(logits, bias, count, normalise=normalise, factor=2.5, isa=isa)
    expected, order = route_twin(logits, bias, count, normalise=normalise, factor=2.5)
    # Two sums that differ in their last bit may come in either order.
    scores = logits.sigmoid() + bias
    torch.testing.assert_close(scores.gather(1, chosen), scores.gather(1, order))
    same = chosen == order
    torch.testing.assert_close(weights[same], expected[same], rtol=1e-5, atol=1e-6)
    one = route(logits[-1:], bias, count, normalise=normalise, factor=2.5, isa=isa)
    assert torch.equal(one[0], weights[-1:])
    assert torch.equal(one[1], chosen[-1:])


def test_of_equal_scores_the_lower_expert_comes_first(isa):
    logits, bias = torch.tensor([[1.0, 3.0, 3.0, 1.0, 3.0]]), torch.zeros(5)
    _, chosen = route(logits, bias, 4, normalise=True, factor=1.0, isa=isa)
    assert chosen.tolist() == [[1, 2, 4, 0]]
    _, chosen = route_twin(logits, bias, 4, normalise=True, factor=1.0)
    assert chosen.tolist() == [[1, 2, 4, 0]]


def test_the_sigmoid_of_large_and_of_broken_logits_is_torch_s(isa):
    logits = torch.tensor([[-200.0, -88.0, -20.0, 0.0, 20.0, 200.0, float("inf"), float("nan")]])
    for column in range(8):
        weights, _ = route(
            logits[:, column, None], torch.zeros(1), 1, normalise=False, factor=1.0, isa=isa
        )
        expected = logits[:, column, None].sigmoid()
        torch.testing.assert_close(weights, expected, rtol=1e-6, atol=1e-37, equal_nan=True)


@pytest.mark.parametrize("width", [16, 64, 250, 320, 1024])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.rms_norm(x, x.shape[-1:], torch.ones(x.shape[-1]), 1e-6),
        lambda x: x.softmax(-1),
        lambda x: x.log_softmax(-1),
        lambda x: torch.cat((x.cos(), x.sin()), dim=-1),
        lambda x: rotation_twin(x[:, None], x[:, ::2].cos(), x[:, 1::2].sin()),
    ],
    ids=["rms_norm", "softmax", "log_softmax", "cos and sin", "rotation"],
)
def test_what_is_left_to_torch_does_not_depend_on_the_other_rows(function, width, random_tensor):
    for rows in (1, 2, 3, 7, 8, 16, 31, 64):
        x = random_tensor(rows, rows, width) * 3
        together = function(x)
        for row in {0, rows // 2, rows - 1}:
            assert torch.equal(function(x[row : row + 1]), together[row : row + 1])


def test_what_does_not_fit_is_refused_by_name(isa, random_tensor):
    x = random_tensor(0, 3, 8)
    with pytest.raises(ValueError, match=r"weight \[7\]"):
        rms_norm(x, torch.ones(7), 1e-6, isa=isa)
    with pytest.raises(TypeError, match=r"x is torch.float64"):
        rms_norm(x.double(), torch.ones(8), 1e-6, isa=isa)
    with pytest.raises(ValueError, match=r"cos \[3, 3\]"):
        rotate(x[:, None], x[:, :3], x[:, :3], isa=isa)
    with pytest.raises(TypeError, match="float32 is wanted"):
        rotate(x[:, None], x[:, :4].double(), x[:, :4], isa=isa)
    with pytest.raises(ValueError, match="count 9"):
        route(x, torch.zeros(8), 9, normalise=True, factor=1.0, isa=isa)
    with pytest.raises(TypeError, match=r"bias torch.bfloat16"):
        route(x, torch.zeros(8).bfloat16(), 2, normalise=True, factor=1.0, isa=isa)
