import resource

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.engine.latent_cache import LatentPages, PagedLatentCache
from openk2.model import ContiguousCache

CONFIG = ModelConfig(
    num_hidden_layers=2,
    kv_lora_rank=6,
    qk_rope_head_dim=2,
    n_routed_experts=2,
    num_experts_per_tok=1,
)


def test_pages_return_what_a_contiguous_cache_returns() -> None:
    """Two sequences, their pages interleaved and out of order, grown across page boundaries."""
    memory = LatentPages(CONFIG, pages=7, page_size=3, dtype=torch.float32)
    twin = ContiguousCache(CONFIG, batch=2, max_length=9)
    tables = torch.tensor([[5, 0, 3], [1, 6, 2]])
    stored = [0, 2]
    random = torch.Generator().manual_seed(0)
    for new in (4, 1, 1, 1):
        positions = torch.tensor([[n + i for i in range(new)] for n in stored])
        length = max(stored) + new
        pages = tables[:, : -(-length // 3)]
        cache = PagedLatentCache(memory, pages, positions, length)
        for layer in range(2):
            latents = torch.randn(2, new, CONFIG.latent_dim, generator=random)
            got = cache.extend(layer, latents, positions)
            expected = twin.extend(layer, latents, positions)
            for row, count in enumerate(stored):
                # Sequence 1 starts at position 2: what is before was never stored.
                first = 0 if row == 0 else 2
                assert torch.equal(
                    got[row, first : count + new], expected[row, first : count + new]
                )
        stored = [n + new for n in stored]


def test_positions_that_the_cache_was_not_made_for_are_refused() -> None:
    memory = LatentPages(CONFIG, pages=2, page_size=3, dtype=torch.float32)
    positions = torch.tensor([[0]])
    cache = PagedLatentCache(memory, torch.tensor([[1]]), positions, 1)
    with pytest.raises(ValueError, match="only the positions"):
        cache.extend(0, torch.zeros(1, 1, CONFIG.latent_dim), torch.tensor([[1]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_starts_as_zeros_and_takes_memory_only_where_it_is_used(dtype: torch.dtype) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    memory = LatentPages(CONFIG, pages=500_000, page_size=64, dtype=dtype)
    assert memory.latents.nbytes > 1e9
    assert not memory.latents[:, ::100_000].any()
    memory.latents[:, -1] = 1
    assert memory.latents[:, -2:].sum() == 2 * 64 * CONFIG.latent_dim
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown * 1024 < 1e8


def test_a_cache_that_the_machine_refuses_is_a_memory_error_with_its_size() -> None:
    with pytest.raises(MemoryError, match=r"1,024,000,000,000,000,000 bytes for the latent cache"):
        LatentPages(CONFIG, pages=10**15, page_size=16, dtype=torch.float32)


def test_cleared_pages_are_zero_in_every_layer_and_others_are_kept() -> None:
    memory = LatentPages(CONFIG, pages=3, page_size=2, dtype=torch.float32)
    memory.latents.fill_(torch.nan)
    memory.clear([0, 2])
    assert not memory.latents[:, [0, 2]].any()
    assert memory.latents[:, 1].isnan().all()
