"""A checkpoint that takes no time to open."""

from pathlib import Path

import pytest

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import save_model
from openk2.model import K2Model


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder: one id a byte plus the specials, random weights."""
    folder = tmp_path_factory.mktemp("local") / "tiny"
    tokenizer = Tokenizer([bytes([byte]) for byte in range(256)])
    config = ModelConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_nope_head_dim=8,
        qk_rope_head_dim=4,
        v_head_dim=8,
        intermediate_size=48,
        moe_intermediate_size=24,
        n_routed_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=512,
        eos_token_id=tokenizer.special("[EOS]"),
    )
    save_model(K2Model(config).initialize(1), folder, block_fp8=False)
    tokenizer.save(folder)
    return folder
