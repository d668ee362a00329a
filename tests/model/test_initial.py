import dataclasses

import torch

from openk2.architecture import ModelConfig
from openk2.model import K2Model

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


def test_initialisation_depends_on_the_seed_alone() -> None:
    config = dataclasses.replace(TINY)
    first, again, other = (K2Model(config).initialize(seed).lm_head.weight for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
