import torch

from openk2.engine.key_waves import WaveSizes, in_groups
from openk2.engine.latent_cache import LatentPages
from openk2.engine.model_input import waved_input
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk
from openk2.protocol import SamplingParams
from tiny import TINY

SIZES = WaveSizes(TINY.num_attention_heads, TINY.latent_dim, 2, torch.float32)


def holding(prompt: tuple[int, ...], pages: list[int], *output: int) -> Request:
    request = Request(prompt, SamplingParams(max_tokens=4), page_table=pages)
    request.tokens += output
    return request


def test_a_step_feeds_parts_of_prompts_and_the_last_tokens_of_outputs() -> None:
    memory = LatentPages(TINY, pages=8, page_size=2, dtype=torch.float32)
    prompt = holding((5, 6, 7, 8), [4, 1])
    prompt.num_computed_tokens = 1
    long = holding((1, 2, 3), [0, 7], 4)
    long.num_computed_tokens = 3
    short = holding((2,), [3], 9)
    short.num_computed_tokens = 1
    chunks = in_groups(
        [ScheduledChunk(short, 1), ScheduledChunk(prompt, 2), ScheduledChunk(long, 1)]
    )
    fed = waved_input(chunks, memory, SIZES)
    assert fed.tokens.flatten().tolist() == [4, 9, 6, 7]
    assert fed.positions.flatten().tolist() == [3, 1, 1, 2]
    assert fed.cache.slots.tolist() == [15, 7, 9, 2]
    decoding, reading = fed.cache.groups
    assert (decoding.queries, decoding.runs) == (slice(0, 2), 2)
    # The short request's second page is its first again: no query sees it.
    [wave] = decoding.waves
    assert wave.pages.tolist() == [0, 7, 3, 3]
    assert (wave.hidden < 0).tolist() == [[[False] * 4], [[False, False, True, True]]]
    [wave] = reading.waves
    assert wave.pages.tolist() == [4, 1]
    assert (wave.hidden < 0).tolist() == [[[False, False, True, True], [False] * 3 + [True]]]


def test_a_request_whose_latents_were_dropped_feeds_everything_again() -> None:
    request = holding((5, 6), [], 7, 8)
    assert request.num_pending_tokens == 4
    request.num_computed_tokens = 1
    assert request.num_pending_tokens == 3
