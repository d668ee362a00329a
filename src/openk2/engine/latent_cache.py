"""Latents of many sequences in pages of one size (PagedAttention, arXiv 2309.06180, over MLA).

`LatentPages` is the memory; `PagedLatentCache` is one step's view of it, which the model sees as
a `LatentCache`. MLA stores one latent_dim-wide vector a token and layer, for all heads together.
"""

import math
import mmap

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.kernels import latent_attention


class LatentPages:
    """The cache's memory: one tensor [layers, pages, page_size, latent_dim].

    It starts as zeros and must stay finite: attention masks what lies past a sequence's end by a
    weight of zero, and zero times NaN is NaN.
    """

    def __init__(
        self,
        config: ModelConfig,
        pages: int,
        page_size: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> None:
        shape = (config.num_hidden_layers, pages, page_size, config.latent_dim)
        self.latents = zeros_on_demand(shape, dtype, torch.device(device))
        self.page_size = page_size
        # Views made once: a slice costs a microsecond, and a step would make two a layer.
        self.by_token = list(self.latents.flatten(1, 2))
        self.by_page = list(self.latents.flatten(2, 3))
        self._gathered = self.latents.new_empty(0, page_size * config.latent_dim)

    def gather(self, layer: int, pages: Tensor) -> Tensor:
        """One layer's `pages` int64 [N] as [N, page_size * latent_dim], until the next call.

        The same memory serves every call: to ask the system for 40 MB anew at each layer of a
        step takes five times as long as to fill them.
        """
        if len(self._gathered) < len(pages):
            self._gathered = self._gathered.new_empty(len(pages), self._gathered.shape[1])
        out = self._gathered[: len(pages)]
        return torch.index_select(self.by_page[layer], 0, pages, out=out)

    def clear(self, pages: list[int]) -> None:
        """Zero pages that a failed step may have filled with NaN."""
        self.latents[:, pages] = 0


class PagedLatentCache:
    """`model.LatentCache` for the sequences of one step.

    memory: where the latents are.
    tables: int64 [B, P], the pages of each sequence in order; rows that need fewer than P pages
        are filled up with any page. P * page_size is at least `length`.
    positions: int64 [B, T], the new tokens' places, the same tensor that the model is called with.
    length: the largest position plus one.
    """

    def __init__(self, memory: LatentPages, tables: Tensor, positions: Tensor, length: int) -> None:
        size = memory.page_size
        self.memory, self.positions, self.length = memory, positions, length
        self.slots = (tables.gather(1, positions // size) * size + positions % size).flatten()
        self.pages = tables.flatten()
        self.shape = (tables.shape[0], tables.shape[1] * size, -1)

    def extend(self, layer: int, latents: Tensor, positions: Tensor) -> Tensor:
        """See `LatentCache.extend`: [B, length, latent_dim], valid until the next call."""
        if positions is not self.positions:
            raise ValueError("a PagedLatentCache serves only the positions it was made for")
        by_token = self.memory.by_token[layer]
        by_token.index_copy_(0, self.slots, latents.flatten(0, 1).to(by_token.dtype))
        gathered: Tensor = self.memory.gather(layer, self.pages).view(self.shape)
        return gathered[:, : self.length]


class AttendedPages:
    """`model.AttendingCache` for the N tokens of one step, whichever sequences they belong to.

    tables: int32 [S, width], the pages of each sequence in order. sequence: int32 [N], each
    token's row of tables. places: int64 [N], its place in its sequence.
    """

    def __init__(
        self, memory: LatentPages, tables: Tensor, sequence: Tensor, places: Tensor
    ) -> None:
        size = memory.page_size
        self.memory, self.tables, self.sequence = memory, tables, sequence
        self.lengths = (places + 1).int()
        self.slots = tables[sequence.long(), places // size].long() * size + places % size

    def store(self, layer: int, latents: Tensor) -> None:
        """See `AttendingCache.store`."""
        by_token = self.memory.by_token[layer]
        by_token.index_copy_(0, self.slots, latents.flatten(0, 1).to(by_token.dtype))

    def attend(self, layer: int, query: Tensor, scale: float, rank: int) -> Tensor:
        """See `AttendingCache.attend`."""
        pages = self.memory.latents[layer]
        return latent_attention(query, pages, self.tables, self.sequence, self.lengths, scale, rank)


def zeros_on_demand(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """torch.zeros, but on a CPU a cache costs memory, and time to zero it, only where it is used.

    torch.zeros writes every byte: 2.9 s for the 1.7 GiB of a small model's default cache.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = mmap.mmap(-1, size)
    except OSError as error:
        raise MemoryError(f"{size:,} bytes for the latent cache: this machine refuses") from error
    return torch.frombuffer(memory, dtype=dtype).view(shape)
