import torch

from openk2.engine.latent_cache import LatentPages
from openk2.engine.model_input import group_by_length, padded_input
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk
from openk2.protocol import SamplingParams
from tiny import TINY


def holding(prompt: tuple[int, ...], pages: list[int], *output: int) -> Request:
    request = Request(prompt, SamplingParams(max_tokens=4), page_table=pages)
    request.tokens += output
    return request


def test_a_chunk_feeds_its_part_of_the_prompt_and_a_decode_the_last_tokens() -> None:
    memory = LatentPages(TINY, pages=8, page_size=2, dtype=torch.float32)
    long = holding((5, 6, 7, 8), [4, 1, 0, 7])
    long.num_computed_tokens = 1
    chunk = padded_input([ScheduledChunk(long, 2)], memory)
    assert chunk.tokens.tolist() == [[6, 7]]
    assert chunk.positions.tolist() == [[1, 2]]
    assert chunk.cache.slots.tolist() == [9, 2]
    long.num_computed_tokens = 3
    short = holding((2,), [3], 9)
    short.num_computed_tokens = 1
    decode = padded_input([ScheduledChunk(long, 1), ScheduledChunk(short, 1)], memory)
    assert decode.tokens.tolist() == [[8], [9]]
    assert decode.positions.tolist() == [[3], [1]]
    assert decode.cache.slots.tolist() == [3, 7]
    assert decode.cache.length == 4


def test_a_step_is_grouped_by_how_many_tokens_a_request_feeds() -> None:
    chunks = [ScheduledChunk(holding((1, 2, 3), [0]), count) for count in (1, 3, 1)]
    assert group_by_length(chunks) == [[chunks[0], chunks[2]], [chunks[1]]]


def test_a_request_whose_latents_were_dropped_feeds_everything_again() -> None:
    request = holding((5, 6), [], 7, 8)
    assert request.num_pending_tokens == 4
    request.num_computed_tokens = 1
    assert request.num_pending_tokens == 3
