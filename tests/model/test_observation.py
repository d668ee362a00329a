import torch

from openk2.model import K2Model, Observation
from tiny import TINY


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
