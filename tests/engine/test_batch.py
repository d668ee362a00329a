import torch

from openk2.architecture import ModelConfig
from openk2.engine.batch import make_batch
from openk2.engine.latent_cache import LatentPages
from openk2.engine.request import Request
from openk2.protocol import SamplingParams

CONFIG = ModelConfig(
    num_hidden_layers=1,
    kv_lora_rank=4,
    qk_rope_head_dim=2,
    n_routed_experts=2,
    num_experts_per_tok=1,
)


def test_a_prefill_feeds_the_prompt_and_a_decode_the_last_tokens() -> None:
    memory = LatentPages(CONFIG, pages=8, page_size=2, dtype=torch.float32)
    long = Request((5, 6, 7), SamplingParams(max_tokens=4), pages=[4, 1, 0, 7])
    prefill = make_batch([long], memory)
    assert prefill.tokens.tolist() == [[5, 6, 7]]
    assert prefill.positions.tolist() == [[0, 1, 2]]
    assert prefill.cache.slots.tolist() == [8, 9, 2]
    long.stored, long.output = 3, [9]
    short = Request((2,), SamplingParams(max_tokens=1), output=[8], stored=1, pages=[3])
    decode = make_batch([long, short], memory)
    assert decode.tokens.tolist() == [[9], [8]]
    assert decode.positions.tolist() == [[3], [1]]
    assert decode.cache.slots.tolist() == [3, 7]
    assert decode.cache.length == 4


def test_a_request_whose_latents_were_dropped_feeds_everything_again() -> None:
    request = Request((5, 6), SamplingParams(max_tokens=4), output=[7, 8])
    assert request.pending == [5, 6, 7, 8]
    request.stored = 1
    assert request.pending == [6, 7, 8]
