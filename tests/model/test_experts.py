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
