"""Small K2-shaped models whose matrices end inside a block of 128."""

import pytest
import torch

from openk2.architecture import ModelConfig, Yarn
from openk2.model import K2Model

CONFIG = ModelConfig(
    vocab_size=520,
    hidden_size=144,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=40,
    kv_lora_rank=136,
    qk_nope_head_dim=16,
    qk_rope_head_dim=8,
    v_head_dim=16,
    intermediate_size=200,
    moe_intermediate_size=56,
    n_routed_experts=4,
    num_experts_per_tok=2,
    rope_scaling=Yarn(4.0, 32, beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0),
    max_position_embeddings=128,
    bos_token_id=264,
    eos_token_id=265,
    pad_token_id=519,
)


def random_model(config: ModelConfig, seed: int) -> K2Model:
    """Weights large enough to matter, norms and router bias that are not what they start as."""
    model = K2Model(config).initialize(seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.ndim == 1:
                tensor.add_(torch.rand(tensor.shape, generator=generator))
            else:
                tensor.mul_(5)
    return model


@pytest.fixture
def config() -> ModelConfig:
    return CONFIG


@pytest.fixture
def model() -> K2Model:
    return random_model(CONFIG, seed=1)


@pytest.fixture
def other_model() -> K2Model:
    return random_model(CONFIG, seed=2)
