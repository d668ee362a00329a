"""`--memory`: how a model larger than memory is opened, its routed experts streamed from disk."""

from pathlib import Path
from typing import TYPE_CHECKING

from openk2.architecture import ModelConfig
from openk2.pretrained.cache_plan import CachePlan, plan_cache
from openk2.pretrained.error import LocalModelError

if TYPE_CHECKING:
    import torch

    from openk2.streaming import StreamingBudget

# Of what resident weights leave of the budget, where no size is asked for; experts get the rest.
CACHE_SHARE = 0.125


def plan_memory(
    folder: Path,
    config: ModelConfig,
    memory: int,
    *,
    dtype: "torch.dtype",
    stored: bool,
    max_batch: int,
    available: int | None,
    cache_bytes: int | None = None,
    context_length: int | None = None,
) -> "tuple[CachePlan, StreamingBudget]":
    """Divide `memory` bytes between latent cache and experts; see `plan_streaming`.

    available: bytes that the machine has left, None if unknown. The other arguments: see
    `open_model`. Raises LocalModelError, one line, if the budget is too small or not there.
    """
    from openk2.streaming import BudgetError, moe_layers, plan_streaming

    if not moe_layers(config):
        raise LocalModelError(f"{folder} has no routed experts to stream: leave --memory out")
    if available is not None and memory > available:
        raise LocalModelError(
            f"{folder}: {memory:,} bytes of memory are asked for, the machine has {available:,} "
            "left: lower --memory"
        )
    try:
        bare = plan_streaming(config, memory, 0, dtype=dtype, stored=stored, max_batch=max_batch)
        left = memory - bare.resident - bare.working
        cache = plan_cache(
            config,
            value_bytes=dtype.itemsize,
            budget_bytes=int(left * CACHE_SHARE) if cache_bytes is None else cache_bytes,
            max_batch=max_batch,
            context_length=context_length,
        )
        budget = plan_streaming(
            config, memory, cache.bytes, dtype=dtype, stored=stored, max_batch=max_batch
        )
    except BudgetError as error:
        raise LocalModelError(f"{folder}: {error}") from error
    return cache, budget
