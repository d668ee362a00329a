"""`ModelInput`: the tensors of one forward pass."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.engine.latent_cache import AttendedPages, LatentPages, PagedLatentCache
from openk2.engine.scheduler import ScheduledChunk


@dataclass(frozen=True)
class ModelInput:
    """tokens, positions: int64 [B, T], T tokens of each of B requests; or [N, 1], all N tokens of
    a step one after the other, for a model that attends over pages."""

    tokens: Tensor
    positions: Tensor
    cache: PagedLatentCache | AttendedPages


def group_by_length(step: Sequence[ScheduledChunk]) -> list[list[ScheduledChunk]]:
    """Split a step into passes of equally many tokens a request; all decoding requests are one."""
    groups: defaultdict[int, list[ScheduledChunk]] = defaultdict(list)
    for chunk in step:
        groups[chunk.num_tokens].append(chunk)
    return list(groups.values())


def padded_input(chunks: Sequence[ScheduledChunk], memory: LatentPages) -> ModelInput:
    """The input [B, T] of one pass over chunks of T tokens each; their pages are allocated.

    Built from Python ints every time: 15 us a step for 32 requests of 500 tokens, less than it
    would cost to keep such tensors right while requests come and go.
    """
    device, count = memory.latents.device, chunks[0].num_tokens
    requests = [chunk.request for chunk in chunks]
    pending = [r.tokens[r.num_computed_tokens : r.num_computed_tokens + count] for r in requests]
    starts = torch.tensor([[r.num_computed_tokens] for r in requests], device=device)
    positions = starts + torch.arange(count, device=device)
    length = max(r.num_computed_tokens for r in requests) + count
    width = -(-length // memory.page_size)
    tables = [padded(r.page_table[:width], width) for r in requests]
    cache = PagedLatentCache(memory, torch.tensor(tables, device=device), positions, length)
    return ModelInput(torch.tensor(pending, device=device), positions, cache)


def flat_input(chunks: Sequence[ScheduledChunk], memory: LatentPages) -> ModelInput:
    """The input [N, 1] of one pass over all N tokens of a step."""
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
    """The page table, padded to `width` with its first page; attention masks what it holds."""
    return page_table + page_table[:1] * (width - len(page_table))
