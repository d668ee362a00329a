"""`ModelInput`: the tensors of one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.engine.key_waves import WaveSizes, on_device, plan_waves
from openk2.engine.latent_cache import AttendedPages, LatentPages, WavedPages
from openk2.engine.scheduler import ScheduledChunk


@dataclass(frozen=True)
class ModelInput:
    """tokens, positions: int64 [N, 1], all N tokens of a step one after the other."""

    tokens: Tensor
    positions: Tensor
    cache: AttendedPages | WavedPages


def waved_input(
    chunks: Sequence[ScheduledChunk], memory: LatentPages, sizes: WaveSizes
) -> ModelInput:
    """The input of one pass over chunks in the order of `in_groups`, for plain weights.

    Everything that the device must know goes there as one tensor: a step makes one copy, and the
    host waits for nothing.
    """
    tokens: list[int] = []
    places: list[int] = []
    slots: list[int] = []
    size = memory.page_size
    for chunk in chunks:
        request, start = chunk.request, chunk.request.num_computed_tokens
        here = range(start, start + chunk.num_tokens)
        tokens += request.tokens[start : here.stop]
        places += here
        slots += [request.page_table[place // size] * size + place % size for place in here]
    planned = plan_waves(chunks, sizes)
    parts = [tokens, places, slots, *(wave.pages for group in planned for wave in group.waves)]
    numbers = torch.tensor([number for part in parts for number in part])
    device = memory.latents.device
    ids, positions, stored, *pages = numbers.to(device, non_blocking=True).split(
        [len(part) for part in parts]
    )
    groups = []
    for group in planned:
        own, pages = pages[: len(group.waves)], pages[len(group.waves) :]
        groups.append(on_device(group, own, positions, sizes))
    return ModelInput(ids[:, None], positions[:, None], WavedPages(memory, stored, groups))


def flat_input(chunks: Sequence[ScheduledChunk], memory: LatentPages) -> ModelInput:
    """The input of one pass over all tokens of a step, for a packed model."""
    device = memory.latents.device
    tokens: list[int] = []
    places: list[int] = []
    rows: list[int] = []
    for row, chunk in enumerate(chunks):
        request, start = chunk.request, chunk.request.num_computed_tokens
        tokens += request.tokens[start : start + chunk.num_tokens]
        places += range(start, start + chunk.num_tokens)
        rows += [row] * chunk.num_tokens
    width = max(len(chunk.request.page_table) for chunk in chunks)
    tables = [padded(chunk.request.page_table, width) for chunk in chunks]
    positions = torch.tensor(places, device=device)
    cache = AttendedPages(
        memory,
        torch.tensor(tables, dtype=torch.int32).to(device),
        torch.tensor(rows, dtype=torch.int32, device=device),
        positions,
    )
    return ModelInput(torch.tensor(tokens, device=device)[:, None], positions[:, None], cache)


def padded(page_table: list[int], width: int) -> list[int]:
    """The page table, padded to `width` with its first page, which no length reaches."""
    return page_table + page_table[:1] * (width - len(page_table))
