import torch

from openk2.model import K2Model
from tiny import TINY


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
