"""How a memory budget is divided: what stays in memory, a slab of experts, the latent cache."""

from dataclasses import dataclass

import torch

from openk2.architecture import Int4, ModelConfig
from openk2.checkpoint import held_bytes, published_tensors
from openk2.streaming.load import THREADS, expert_form

STEP_TOKENS = 512  # of an engine's step
# Interpreter, libraries and what torch and the allocator keep; measured at 0.45 GiB after a load.
PROCESS_BYTES = 640 << 20


class BudgetError(ValueError):
    """The budget is too small; the message says what is needed."""


@dataclass(frozen=True)
class StreamingBudget:
    """Bytes of each part, and how many experts the slab holds, of `experts` in all.

    resident: attention, shared and dense MLPs, routers, embedding, head. working: a step's
    intermediate values, buffers of the reading threads, the process itself.
    """

    resident: int
    working: int
    cache: int
    slots: int
    slot_bytes: int
    experts: int

    @property
    def slab(self) -> int:
        """Bytes of the slab."""
        return self.slots * self.slot_bytes

    @property
    def total(self) -> int:
        """All of it."""
        return self.resident + self.working + self.cache + self.slab


def plan_streaming(
    config: ModelConfig,
    memory: int,
    cache: int,
    *,
    dtype: torch.dtype = torch.bfloat16,
    stored: bool = True,
    max_batch: int = 32,
    threads: int = THREADS,
) -> StreamingBudget:
    """Divide `memory` bytes: the slab gets what the rest leaves.

    cache: bytes of the latent cache. Raises BudgetError if the rest leaves less than two tokens'
    choices, or the threads need.
    """
    slot = expert_form(config, dtype, stored).bytes
    resident = resident_part(config, dtype, stored)
    working = working_bytes(config, slot, dtype, stored, max_batch, threads)
    experts = moe_layers(config) * config.n_routed_experts
    least = min(experts, max(2 * config.num_experts_per_tok, threads + 1))
    # The head is there twice while it is packed, when no expert has been read yet.
    packing = config.vocab_size * config.hidden_size * dtype.itemsize
    needed = resident + working + cache + max(least * slot, packing)
    if needed > memory:
        raise BudgetError(
            f"{memory:,} bytes are too few to stream: {resident:,} of weights that stay in memory, "
            f"{working:,} to work with, {cache:,} of latent cache and {least} experts of {slot:,} "
            f"need {needed:,}: raise --memory or lower --cache-memory"
        )
    slots = min(experts, (memory - resident - working - cache) // slot)
    return StreamingBudget(resident, working, cache, slots, slot, experts)


def resident_part(config: ModelConfig, dtype: torch.dtype, stored: bool) -> int:
    """Bytes of all weights but the routed experts', as `load_streamed` holds them."""
    own = (each for each in published_tensors(config) if each.expert is None)
    held = sum(held_bytes(config, each, dtype, stored) for each in own)
    routers = moe_layers(config) * config.n_routed_experts * config.hidden_size
    return held + routers * (4 - dtype.itemsize)  # they are packed in float32


def moe_layers(config: ModelConfig) -> int:
    """How many layers have routed experts."""
    return sum(config.is_moe(layer) for layer in range(config.num_hidden_layers))


def working_bytes(
    config: ModelConfig, slot: int, dtype: torch.dtype, stored: bool, max_batch: int, threads: int
) -> int:
    """Bytes for reading and for a step's intermediate values, at most."""
    # A thread's buffer holds an expert as its file does: quantized, or up to float32.
    buffer = slot + (1 << 20)
    if not stored:
        buffer += 3 * config.hidden_size * config.moe_intermediate_size * dtype.itemsize
    elif config.quantization is None or isinstance(config.quantization, Int4):
        buffer += slot // 8
    rows = STEP_TOKENS + max_batch
    values = 8 * config.hidden_size + config.num_experts_per_tok * config.moe_intermediate_size
    values += config.num_attention_heads * (config.qk_head_dim + 2 * config.latent_dim)
    return threads * buffer + 4 * rows * values + 8 * max_batch * config.vocab_size + PROCESS_BYTES
