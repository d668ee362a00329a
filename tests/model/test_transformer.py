import dataclasses

import pytest
import torch

from openk2.architecture import ModelConfig, count_parameters
from openk2.model import K2Model, Observation

TINY = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    q_lora_rank=16,
    kv_lora_rank=24,
    qk_nope_head_dim=8,
    qk_rope_head_dim=4,
    v_head_dim=8,
    intermediate_size=48,
    moe_intermediate_size=16,
    n_routed_experts=4,
    num_experts_per_tok=2,
    initializer_range=0.2,
)


def test_k2_on_the_meta_device_has_the_published_sums() -> None:
    with torch.device("meta"):
        model = K2Model(ModelConfig())
    biases = sum(buffer.numel() for buffer in model.buffers())
    total = sum(parameter.numel() for parameter in model.parameters()) + biases
    assert total == 1_026_408_232_448
    assert dict(model.named_parameters())["model.layers.0.self_attn.q_b_proj.weight"].shape == (
        12288,
        1536,
    )


def test_counted_parameters_equal_the_networks() -> None:
    model = K2Model(TINY)
    tensors = [*model.parameters(), *model.buffers()]
    assert count_parameters(TINY).total == sum(tensor.numel() for tensor in tensors)


@torch.no_grad()
def test_packed_documents_do_not_see_each_other() -> None:
    model = K2Model(TINY).initialize(0)
    first, second = torch.randint(0, 64, (2, 10), generator=torch.Generator().manual_seed(0))
    row = torch.cat((first, second))[None]
    segments = torch.arange(2).repeat_interleave(10)[None]
    packed = model(row, segments=segments)[0]
    torch.testing.assert_close(packed[:10], model(first[None])[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed[10:], model(second[None])[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_token_does_not_see_the_future() -> None:
    model = K2Model(TINY).initialize(0)
    tokens = torch.randint(0, 64, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 8:] = 63 - changed[0, 8:]
    torch.testing.assert_close(model(tokens)[0, :8], model(changed)[0, :8])


@torch.no_grad()
def test_the_correction_bias_chooses_experts_but_does_not_weigh_them() -> None:
    router = K2Model(TINY).initialize(0).model.layers[1].mlp.gate
    x = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    router.e_score_correction_bias[:] = torch.tensor([9.0, 9.0, 0.0, 0.0])
    weights, chosen = router(x)
    assert chosen.sort(-1).values.tolist() == [[0, 1]] * 5
    scores = (x @ router.weight.T).sigmoid().gather(-1, chosen)
    expected = scores / scores.sum(-1, keepdim=True) * TINY.routed_scaling_factor
    torch.testing.assert_close(weights, expected)


@torch.no_grad()
def test_observation_holds_the_largest_visible_logit_and_every_choice() -> None:
    model = K2Model(TINY).initialize(0)
    tokens = torch.randint(0, 64, (3, 7), generator=torch.Generator().manual_seed(0))
    observation = Observation(TINY)
    model(tokens, observation=observation)
    assert observation.expert_load[1].sum() == 3 * 7 * TINY.num_experts_per_tok
    assert observation.expert_load[0].sum() == 0
    attention = model.model.layers[0].self_attn
    seen: list[torch.Tensor] = []

    def spy(_: torch.nn.Module, inputs: tuple[torch.Tensor, torch.Tensor]) -> None:
        products, mask = inputs
        seen.append((products * TINY.softmax_scale)[mask.expand_as(products)].amax())

    attention.weigh.register_forward_pre_hook(spy)
    model(tokens, observation=Observation(TINY))
    torch.testing.assert_close(observation.max_logits[0].max(), seen[0])


@torch.no_grad()
def test_padding_is_not_observed() -> None:
    model = K2Model(TINY).initialize(0)
    row = torch.randint(0, 64, (1, 9), generator=torch.Generator().manual_seed(0))
    padded = torch.cat((row, torch.full((1, 40), 63)), dim=1)
    segments = torch.where(torch.arange(49) < 9, 0, -1)[None]
    model.model.embed_tokens.weight[63] *= 50
    alone, among = Observation(TINY), Observation(TINY)
    model(row, segments=segments[:, :9], observation=alone)
    model(padded, segments=segments, observation=among)
    assert torch.equal(among.expert_load, alone.expert_load)
    torch.testing.assert_close(among.max_logits, alone.max_logits)
    model(padded, observation=among)
    assert among.expert_load.sum() == (9 + 49) * TINY.num_experts_per_tok
    assert (among.max_logits > alone.max_logits).any()


def test_a_cache_without_positions_is_refused() -> None:
    from openk2.model import ContiguousCache

    cache = ContiguousCache(TINY, 1, 4)
    with pytest.raises(ValueError, match="positions"):
        K2Model(TINY)(torch.zeros(1, 2, dtype=torch.int64), cache=cache)


def test_initialisation_depends_on_the_seed_alone() -> None:
    config = dataclasses.replace(TINY)
    first, again, other = (K2Model(config).initialize(seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
