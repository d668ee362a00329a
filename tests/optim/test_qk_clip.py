"""Clipping is exact (report 2.1): same inputs, learning rate 0, float64."""

import pytest
import torch
from torch import Tensor

from openk2.architecture import ModelConfig, Yarn
from openk2.model.attention import LatentAttention
from openk2.model.context import LayerContext, OwnKeys
from openk2.model.rope import inverse_frequencies, rotation
from openk2.optim import Fused, FusedHeads, LatentHeads, OrdinaryHeads, exact_max_logits, qk_clip

CONFIG = ModelConfig(
    hidden_size=32,
    num_attention_heads=4,
    q_lora_rank=24,
    kv_lora_rank=20,
    qk_nope_head_dim=12,
    qk_rope_head_dim=8,
    v_head_dim=10,
    rope_scaling=Yarn(32.0, 16, beta_fast=1, beta_slow=1, mscale_all_dim=1.0),
)
LENGTH = 11


def attention_and_logits() -> tuple[LatentAttention, LatentHeads]:
    torch.manual_seed(0)
    attention = LatentAttention(CONFIG, 0).double()
    attention.q_b_proj.weight.data.mul_(3)
    heads = LatentHeads(attention.q_b_proj.weight, attention.kv_b_proj.weight, heads=4, nope=12)
    return attention, heads


def logits_of(attention: LatentAttention, x: Tensor) -> Tensor:
    """Scaled logits of visible pairs [H, B, T, T], -inf elsewhere, all in float64."""
    positions = torch.arange(LENGTH).expand(x.shape[0], LENGTH)
    cos, sin = rotation(CONFIG, inverse_frequencies(CONFIG), positions)
    q = attention.q_b_proj(norm(attention.q_a_proj(x))).unflatten(-1, (4, 20))
    latent, k_rope = attention.kv_a_proj_with_mqa(x).split([20, 8], -1)
    k_nope = attention.kv_b_proj(norm(latent)).unflatten(-1, (4, 22))[..., :12]

    def turn(v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        a, b = v[..., ::2], v[..., 1::2]
        return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)

    logits = torch.einsum("bqhd,bkhd->hbqk", q[..., :12], k_nope)
    logits += torch.einsum(
        "bqhd,bkd->hbqk",
        turn(q[..., 12:], cos[:, :, None], sin[:, :, None]),
        turn(k_rope, cos, sin),
    )
    visible = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
    return (logits * CONFIG.softmax_scale).masked_fill(~visible, -torch.inf)


def norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


@torch.no_grad()
def test_a_clipped_head_reaches_tau_exactly_and_the_others_do_not_move() -> None:
    attention, heads = attention_and_logits()
    x = torch.randn(3, LENGTH, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = logits_of(attention, x)
    largest = before.amax((1, 2, 3))
    tau = float(largest.sort().values[1:3].mean())
    shared_key = attention.kv_a_proj_with_mqa.weight.clone()
    value_rows = heads.key_value.unflatten(0, (4, 22))[:, 12:].clone()

    clipped = qk_clip([heads], largest[None], tau)

    after = logits_of(attention, x)
    assert clipped[0].tolist() == (largest > tau).tolist()
    assert 0 < clipped.sum() < 4
    for head in range(4):
        if clipped[0, head]:
            assert float(after[head].max()) == pytest.approx(tau, rel=1e-12)
            torch.testing.assert_close(after[head], before[head] * (tau / largest[head]))
        else:
            assert torch.equal(after[head], before[head])
    assert torch.equal(attention.kv_a_proj_with_mqa.weight, shared_key)
    assert torch.equal(heads.key_value.unflatten(0, (4, 22))[:, 12:], value_rows)


@torch.no_grad()
@pytest.mark.parametrize("key_heads", [1, 2, 4])
@pytest.mark.parametrize("biased", [False, True])
def test_clipping_of_ordinary_attention_is_exact_too(key_heads: int, biased: bool) -> None:
    generator = torch.Generator().manual_seed(key_heads)
    x = torch.randn(2, 9, 12, dtype=torch.float64, generator=generator)

    def projection(heads: int) -> torch.nn.Linear:
        linear = torch.nn.Linear(12, heads * 6, bias=biased).double()
        for parameter in linear.parameters():
            parameter.normal_(generator=generator)
        return linear

    query, key = projection(4), projection(key_heads)
    heads = OrdinaryHeads(query.weight, key.weight, 4, key_heads, query.bias, key.bias)

    def logits() -> Tensor:
        q, k = (p(x).unflatten(-1, (-1, 6)).transpose(1, 2) for p in (query, key))
        return q @ k.repeat_interleave(4 // key_heads, 1).mT * 0.4

    before = logits()
    q, k = (p(x).unflatten(-1, (-1, 6)).transpose(1, 2) for p in (query, key))
    largest = exact_max_logits(q, k, 0.4, causal=False).double()
    tau = float(largest.sort().values[1:3].mean())
    untouched = key.weight.clone()
    clipped = qk_clip([heads], largest[None], tau)[0]
    assert 0 < clipped.sum() < 4
    expected = torch.where(clipped[:, None, None], before * (tau / largest)[:, None, None], before)
    torch.testing.assert_close(logits(), expected)
    assert torch.equal(key.weight, untouched) == (key_heads < 4)


def test_ordinary_heads_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="3 key heads do not divide 4"):
        OrdinaryHeads(torch.zeros(8, 5), torch.zeros(6, 5), 4, 3)
    with pytest.raises(ValueError, match="query has 8 rows for 4 heads, key 6 for 2"):
        OrdinaryHeads(torch.zeros(8, 5), torch.zeros(6, 5), 4, 2)


def lying(parts: list[Tensor], way: str) -> Tensor:
    """Rows of queries, keys and values [4 or 2 heads of 3, 5] in one, as models keep them."""
    if way == "one after the other":
        return torch.cat(parts)
    if way == "along the columns":
        return torch.cat(parts).mT.contiguous()
    groups = 2 if way == "group by group" else 4
    return torch.cat([part.unflatten(0, (groups, -1)) for part in parts], 1).flatten(0, 1)


@torch.no_grad()
@pytest.mark.parametrize(
    ("way", "fused", "key_heads"),
    [
        ("one after the other", Fused(3), 4),
        ("one after the other", Fused((12, 6, 6)), 2),
        ("along the columns", Fused(3, dim=-1), 4),
        ("along the columns", Fused((12, 6, 6), dim=-1), 2),
        ("head by head", Fused(3, groups=4), 4),
        ("group by group", Fused((6, 3, 3), groups=2), 2),
    ],
)
def test_queries_and_keys_in_one_matrix_are_clipped_as_if_apart(
    way: str, fused: Fused, key_heads: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = (12, key_heads * 3, key_heads * 3)
    weights = [torch.randn(n, 5, generator=generator) for n in rows]
    biases = [torch.randn(n, 1, generator=generator) for n in rows]
    weight = lying(weights, way)
    bias = lying(biases, way).flatten()
    apart = OrdinaryHeads(*weights[:2], 4, key_heads, biases[0].flatten(), biases[1].flatten())
    logits = torch.tensor([[50.0, 7.0, 20.0, 3.0]])
    for heads in (apart, FusedHeads(weight, fused, 4, key_heads, bias)):
        assert qk_clip([heads], logits, tau=10.0).tolist() == [[True, False, True, False]]
    assert torch.equal(weight, lying(weights, way))
    assert torch.equal(bias, lying(biases, way).flatten())


@pytest.mark.parametrize(
    ("fused", "key_heads"), [(Fused(3), 2), (Fused(2), 4), (Fused((12, 9, 3)), 3)], ids=str
)
def test_fused_heads_that_do_not_fit_are_refused(fused: Fused, key_heads: int) -> None:
    rows = sum(fused.parts) if not isinstance(fused.parts, int) else 12 * fused.parts
    with pytest.raises(ValueError, match="heads"):
        FusedHeads(torch.zeros(rows, 5), fused, 4, key_heads)


@torch.no_grad()
def test_the_largest_logit_that_the_network_reports_is_the_one_to_clip_by() -> None:
    from openk2.model import Observation

    attention, _ = attention_and_logits()
    attention.float()
    x = torch.randn(2, LENGTH, 32, generator=torch.Generator().manual_seed(1))
    positions = torch.arange(LENGTH).expand(2, LENGTH)
    turns = rotation(CONFIG, inverse_frequencies(CONFIG), positions)
    observation = Observation(CONFIG)
    mask = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()[None]
    attention(x, LayerContext(turns, OwnKeys(mask), observation))
    expected = logits_of(attention.double(), x.double()).amax((1, 2, 3))
    torch.testing.assert_close(observation.max_logits[0], expected.float(), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_heads_at_the_cap_or_without_logits_stay_bit_equal() -> None:
    _, heads = attention_and_logits()
    query, key_value = heads.query.clone(), heads.key_value.clone()
    logits = torch.tensor([[100.0, -torch.inf, 3.0, 99.0]])
    assert not qk_clip([heads], logits, tau=100.0).any()
    assert torch.equal(heads.query, query)
    assert torch.equal(heads.key_value, key_value)


@pytest.mark.parametrize("logit", [torch.nan, torch.inf])
def test_a_logit_that_is_not_finite_is_refused_and_nothing_is_clipped(logit: float) -> None:
    _, heads = attention_and_logits()
    query = heads.query.clone()
    with pytest.raises(ValueError, match=f"layer 0 head 2 is {logit}"):
        qk_clip([heads], torch.tensor([[500.0, 1.0, logit, 1.0]]), tau=100.0)
    assert torch.equal(heads.query, query)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dim", [-2, -1])
def test_16_bit_weights_are_clipped_by_less_than_their_spacing_alike_on_every_replica(
    dtype: torch.dtype, dim: int
) -> None:
    """Rounded to nearest, every number would stay as it was."""
    drawn = torch.randn(384, 256, generator=torch.Generator().manual_seed(0))
    before = (drawn if dim == -2 else drawn.T.contiguous()).to(dtype)
    replicas = [before.clone(), before.clone()]
    for weight in replicas:
        heads = FusedHeads(weight, Fused(3, dim=dim), 2, 2)
        assert qk_clip([heads], torch.tensor([[100.03, 100.0]]), tau=100.0).tolist() == [
            [True, False]
        ]
    assert torch.equal(*replicas)
    old, new = (t if dim == -2 else t.T for t in (before, replicas[0]))
    # Two heads of queries, of keys, of values.
    for number, (was, now) in enumerate(zip(old.split(64), new.split(64), strict=True)):
        if number in (0, 2):
            scale = (was.double() * now).sum() / was.double().square().sum()
            assert float(scale) == pytest.approx((100 / 100.03) ** 0.5, abs=5e-5)
        else:
            assert torch.equal(was, now)


@torch.no_grad()
def test_queries_and_keys_of_16_bits_are_rounded_by_noise_of_their_own() -> None:
    query = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    key = query.clone()
    qk_clip([OrdinaryHeads(query, key, 2, 2)], torch.tensor([[101.0, 102.0]]), tau=100.0)
    assert not torch.equal(query, key)


@torch.no_grad()
def test_16_bit_weights_that_are_clipped_by_one_logit_again_and_again_keep_their_proportions() -> (
    None
):
    """Noise that repeats would round the same numbers up, and the same down, every time."""
    drawn = torch.randn(2, 64, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    query, key = drawn.clone()
    for _ in range(100):
        qk_clip([OrdinaryHeads(query, key, 1, 1)], torch.tensor([[100.25]]), tau=100.0)
    for before, after in zip(drawn, (query, key), strict=True):
        ratio = after.double() / before
        scale = (after * before.double()).sum() / before.double().square().sum()
        assert float(scale) == pytest.approx((100 / 100.25) ** 50, abs=2e-3)
        assert float(ratio.std()) < 0.05
