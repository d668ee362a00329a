"""`Batch`: what one pass feeds the model, as tensors."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.engine.latent_cache import AttendedPages, LatentPages, PagedLatentCache
from openk2.engine.scheduler import Work


@dataclass(frozen=True)
class Batch:
    """tokens and positions int64 [B, T]: T tokens of each of B requests; or, with T 1, all tokens
    of a step one after the other."""

    tokens: Tensor
    positions: Tensor
    cache: PagedLatentCache | AttendedPages


def group_work(step: Sequence[Work]) -> list[list[Work]]:
    """A step in passes of equally many tokens a request: all who decode are one."""
    groups: defaultdict[int, list[Work]] = defaultdict(list)
    for work in step:
        groups[work.count].append(work)
    return list(groups.values())


def make_batch(works: Sequence[Work], memory: LatentPages) -> Batch:
    """Tensors for one pass. All works have one count and their requests hold pages for it.

    Everything is made anew from Python ints: for 32 requests of 500 tokens that is 15 us a step,
    less than keeping such tensors right while requests come and go would be worth.
    """
    device, count = memory.latents.device, works[0].count
    requests = [work.request for work in works]
    pending = [request.tokens[request.stored : request.stored + count] for request in requests]
    starts = torch.tensor([[request.stored] for request in requests], device=device)
    positions = starts + torch.arange(count, device=device)
    length = max(request.stored for request in requests) + count
    width = -(-length // memory.page_size)
    tables = [fill(request.pages[:width], width) for request in requests]
    cache = PagedLatentCache(memory, torch.tensor(tables, device=device), positions, length)
    return Batch(torch.tensor(pending, device=device), positions, cache)


def make_flat_batch(works: Sequence[Work], memory: LatentPages) -> Batch:
    """Tensors for a whole step in one pass, for a model that attends over pages."""
    device = memory.latents.device
    tokens: list[int] = []
    places: list[int] = []
    sequence: list[int] = []
    for row, work in enumerate(works):
        start, end = work.request.stored, work.request.stored + work.count
        tokens += work.request.tokens[start:end]
        places += range(start, end)
        sequence += [row] * work.count
    width = max(len(work.request.pages) for work in works)
    tables = torch.tensor([fill(work.request.pages, width) for work in works], dtype=torch.int32)
    positions = torch.tensor(places, device=device)
    cache = AttendedPages(
        memory,
        tables.to(device),
        torch.tensor(sequence, dtype=torch.int32, device=device),
        positions,
    )
    return Batch(torch.tensor(tokens, device=device)[:, None], positions[:, None], cache)


def fill(pages: list[int], width: int) -> list[int]:
    """Repeat the first page up to `width` entries: what it holds there is masked."""
    return pages + pages[:1] * (width - len(pages))
