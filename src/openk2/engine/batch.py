"""`Batch`: what one step feeds the model, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.engine.latent_cache import LatentPages, PagedLatentCache
from openk2.engine.request import Request


@dataclass(frozen=True)
class Batch:
    """The pending tokens of B requests, T each: tokens and positions int64 [B, T]."""

    tokens: Tensor
    positions: Tensor
    cache: PagedLatentCache


def make_batch(requests: Sequence[Request], memory: LatentPages) -> Batch:
    """Tensors for one step. All requests have equally many pending tokens and hold pages.

    Everything is made anew from Python ints: for 32 requests of 500 tokens that is 15 us a step,
    less than keeping such tensors right while requests come and go would be worth.
    """
    device = memory.latents.device
    pending = [request.pending for request in requests]
    starts = torch.tensor([[request.stored] for request in requests], device=device)
    positions = starts + torch.arange(len(pending[0]), device=device)
    length = max(request.stored for request in requests) + len(pending[0])
    width = -(-length // memory.page_size)
    tables = [fill(request.pages[:width], width) for request in requests]
    cache = PagedLatentCache(memory, torch.tensor(tables, device=device), positions, length)
    return Batch(torch.tensor(pending, device=device), positions, cache)


def fill(pages: list[int], width: int) -> list[int]:
    """Repeat the first page up to `width` entries: what it holds there is masked."""
    return pages + pages[:1] * (width - len(pages))
