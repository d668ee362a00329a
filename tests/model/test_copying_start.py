import dataclasses

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.model import K2Model
from openk2.model.copying_start import CopyingStart
from openk2.model.initial import initialise

CONFIG = ModelConfig(
    vocab_size=1000,
    hidden_size=256,
    num_hidden_layers=3,
    num_attention_heads=2,
    q_lora_rank=128,
    kv_lora_rank=256,
    intermediate_size=256,
    moe_intermediate_size=64,
    n_routed_experts=8,
    num_experts_per_tok=2,
    max_position_embeddings=512,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=2,
)
STD = 0.5


@torch.no_grad()
def network(config: ModelConfig, circuit: CopyingStart) -> K2Model:
    model = K2Model(config)
    for name, parameter in model.named_parameters():
        deviation = STD if "embed_tokens" in name else config.initializer_range
        initialise(name, parameter, 0, len(parameter), 0, deviation)
        if circuit.writes(name):
            circuit.write(name, parameter)
    for buffer in model.buffers():
        buffer.zero_()
    model.lm_head.weight.copy_(0.16 * model.model.embed_tokens.weight)
    return model


@torch.no_grad()
def copied(model: K2Model, length: int) -> float:
    """Share of the second half of random ids, repeated once, that is predicted."""
    ids = torch.randint(0, 1000, (4, length), generator=torch.Generator().manual_seed(7))
    logits = model.lm_head(model(torch.cat((ids, ids), 1)))[:, length:-1]
    return float((logits.argmax(-1) == ids[:, 1:]).float().mean())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_attention_heads": 3, "qk_rope_head_dim": 32, "rope_theta": 10_000.0},
        {"qk_nope_head_dim": 64, "v_head_dim": 96, "q_lora_rank": 160, "kv_lora_rank": 192},
        {"hidden_size": 512, "first_k_dense_replace": 0},
    ],
)
def test_random_ids_that_come_again_are_predicted_without_training(
    changes: dict[str, float],
) -> None:
    config = dataclasses.replace(CONFIG, **changes)
    model = network(config, CopyingStart(config, "induction", STD))
    for length in (32, 128):
        assert copied(model, length) >= 0.9


def test_without_the_matching_head_nothing_is_copied() -> None:
    model = network(CONFIG, CopyingStart(CONFIG, "previous-token", STD))
    assert copied(model, 64) < 0.1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 1}, "num_hidden_layers is 1"),
        ({"hidden_size": 64}, "hidden_size is 64: it has room for 31"),
        ({"q_lora_rank": 16}, "q_lora_rank is 16"),
        ({"kv_lora_rank": 48}, "kv_lora_rank is 48: it has room for 24"),
        ({"qk_nope_head_dim": 8}, "qk_nope_head_dim is 8"),
        ({"v_head_dim": 8}, "v_head_dim is 8"),
        ({"qk_rope_head_dim": 2}, "qk_rope_head_dim is 2: its 1 pairs"),
    ],
)
def test_a_shape_without_room_is_refused_by_name(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CopyingStart(dataclasses.replace(CONFIG, **changes), "induction", STD)
