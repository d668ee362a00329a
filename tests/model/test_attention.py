"""What attention computes in float32, and which queries it tells an observation of."""

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.model import Observation
from openk2.model.attention import LatentAttention
from openk2.model.context import LayerContext, OwnKeys
from openk2.model.spans import SPAN_BLOCK, document_spans

CONFIG = ModelConfig(
    hidden_size=16,
    num_attention_heads=2,
    num_hidden_layers=1,
    q_lora_rank=8,
    kv_lora_rank=12,
    qk_nope_head_dim=6,
    qk_rope_head_dim=4,
    v_head_dim=5,
)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_are_scaled_masked_and_normalised_in_float32(dtype: torch.dtype) -> None:
    attention, observation = LatentAttention(CONFIG, 0), Observation(CONFIG)
    products = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0)).mul(30).to(dtype)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    weights = attention.weigh(products, mask, observation=observation)
    logits = (products.float() * CONFIG.softmax_scale).masked_fill(~mask, -torch.inf)
    assert torch.equal(observation.max_logits[0], logits.amax((0, 2, 3)))
    assert torch.equal(weights, logits.softmax(-1).to(dtype))


@pytest.mark.parametrize("start", [0, SPAN_BLOCK - 3, SPAN_BLOCK, 2 * SPAN_BLOCK + 5])
def test_an_observation_of_some_queries_is_the_same_by_spans_in_every_block(start: int) -> None:
    torch.manual_seed(start)
    attention, length = LatentAttention(CONFIG, 0), 2 * SPAN_BLOCK + 30
    segments = (torch.arange(length) // 100).expand(2, -1)
    x = torch.randn(2, length, 16)
    turns = (torch.ones(2, length, 2), torch.zeros(2, length, 2))
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    mask = mask & (segments[:, :, None] == segments[:, None, :])
    observed = torch.zeros(2, length, dtype=torch.bool)
    observed[1, start : start + 4] = True
    largest = []
    for spans in (None, document_spans(segments)):
        observation = Observation(CONFIG)
        observation.see_only(observed)
        attention(x, LayerContext(turns, OwnKeys(mask, spans), observation))
        largest.append(observation.max_logits)
    torch.testing.assert_close(largest[1], largest[0])
