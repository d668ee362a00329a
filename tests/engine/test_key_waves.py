"""Attention over pages, wave by wave, against one softmax over all keys of each query."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.architecture import ModelConfig
from openk2.engine.key_waves import WaveSizes, in_groups, plan_waves
from openk2.engine.latent_cache import LatentPages
from openk2.engine.model_input import waved_input
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk
from openk2.kernels.attention import attention_twin
from openk2.protocol import SamplingParams

PAGE, HEADS, RANK = 4, 3, 8
CONFIG = ModelConfig(
    num_hidden_layers=1,
    num_attention_heads=HEADS,
    kv_lora_rank=RANK,
    qk_rope_head_dim=4,
    n_routed_experts=2,
    num_experts_per_tok=1,
)
# The smallest wave is one page a request; the largest holds everything here.
SIZES = WaveSizes(HEADS, CONFIG.latent_dim, PAGE, torch.float32)
CHUNKS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=6)


def requests(chunks: list[tuple[int, int]], seed: int) -> tuple[list[ScheduledChunk], int]:
    """Chunks of (computed, new) tokens, their pages in a drawn order, and how many there are."""
    counts = [-(-(computed + new) // PAGE) for computed, new in chunks]
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randperm(sum(counts) + 2, generator=generator).tolist()
    step = []
    for (computed, new), count in zip(chunks, counts, strict=True):
        table, ids = ids[:count], ids[count:]
        request = Request(
            tuple(range(computed + new)), SamplingParams(max_tokens=1), page_table=table
        )
        request.num_computed_tokens = computed
        step.append(ScheduledChunk(request, new))
    return in_groups(step), sum(counts) + 2


def attended(
    step: list[ScheduledChunk], pages: int, sizes: WaveSizes, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the waves give for drawn latents and queries, and what one softmax in float32 gives."""
    generator = torch.Generator().manual_seed(5)
    memory = LatentPages(CONFIG, pages, PAGE, dtype)
    memory.latents.copy_(torch.randn(memory.latents.shape, generator=generator))
    count = sum(chunk.num_tokens for chunk in step)
    query = torch.randn(count, HEADS, CONFIG.latent_dim, generator=generator).to(dtype)
    fed = waved_input(step, memory, sizes)
    result = fed.cache.attend(0, query, 0.3, RANK)
    rows = [row for row, chunk in enumerate(step) for _ in range(chunk.num_tokens)]
    width = max(len(chunk.request.page_table) for chunk in step)
    tables = [c.request.page_table + [0] * (width - len(c.request.page_table)) for c in step]
    lengths = (fed.positions.flatten() + 1).int()
    expected = attention_twin(
        query.float(),
        memory.latents[0].float(),
        torch.tensor(tables, dtype=torch.int32),
        torch.tensor(rows, dtype=torch.int32),
        lengths,
        0.3,
        RANK,
    )
    return result, expected


@settings(deadline=None, max_examples=40)
@given(CHUNKS, st.sampled_from([1, 100, 300, 10**6]), st.integers(0, 9))
def test_waves_of_any_size_give_what_one_softmax_gives(
    chunks: list[tuple[int, int]], products: int, seed: int
) -> None:
    step, pages = requests(chunks, seed)
    result, expected = attended(step, pages, replace(SIZES, products=products), torch.float32)
    torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("products", [1, 10**6])
def test_in_bfloat16_the_error_is_that_of_rounded_products_and_weights(products: int) -> None:
    sizes = replace(SIZES, products=products, dtype=torch.bfloat16)
    step, pages = requests([(40, 1), (3, 1), (17, 5)], 0)
    result, expected = attended(step, pages, sizes, torch.bfloat16)
    error = (result.float() - expected).abs().max() / expected.abs().max()
    print(f"\n  largest error {error:.1e}")
    assert error < 1e-2


def test_a_wave_gathers_pages_of_requests_that_have_some_and_no_others() -> None:
    step, _ = requests([(39, 1), (0, 1), (7, 1)], 0)
    [group] = plan_waves(step, replace(SIZES, products=1))
    assert [wave.runs for wave in group.waves] == [3, 2] + [1] * 8
    assert [wave.masked for wave in group.waves] == [True, False] + [False] * 8


@settings(deadline=None, max_examples=40)
@given(CHUNKS, st.integers(1, 1000))
def test_a_wave_has_no_more_products_and_latents_than_it_may(
    chunks: list[tuple[int, int]], most: int
) -> None:
    step, _ = requests(chunks, 0)
    for group in plan_waves(step, replace(SIZES, products=most, values=most)):
        assert sum(wave.width for wave in group.waves) == len(step_pages(step, group.first))
        for wave in group.waves:
            keys = wave.width * PAGE
            assert len(wave.pages) == wave.runs * wave.width
            if wave.width > 1:
                assert wave.runs * group.tokens * HEADS * keys <= most
                assert wave.runs * keys * CONFIG.latent_dim <= most


def step_pages(step: list[ScheduledChunk], first: int) -> list[int]:
    """The pages of the chunk whose first token is the step's `first`."""
    start = 0
    for chunk in step:
        if start == first:
            return chunk.request.page_table
        start += chunk.num_tokens
    raise AssertionError(first)
