import resource

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.engine.latent_cache import LatentPages

CONFIG = ModelConfig(
    num_hidden_layers=2,
    kv_lora_rank=6,
    qk_rope_head_dim=2,
    n_routed_experts=2,
    num_experts_per_tok=1,
)


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
