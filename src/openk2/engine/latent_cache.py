"""Latents of many sequences in pages of one size (PagedAttention, arXiv 2309.06180, for MLA).

`LatentPages` is the memory. `PagedLatentCache` and `AttendedPages` are one pass's view of it, which
the model uses as its `LatentCache` or `AttendingCache`. MLA stores one vector of latent_dim numbers
a token and layer, for all heads together.
"""

import math
import mmap

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.kernels import latent_attention


class LatentPages:
    """The cache's memory: `latents` [layers, pages, page_size, latent_dim] of one dtype.

    It starts as zeros. Attention by matrix products gives what lies past a sequence's end a weight
    of zero, and zero times NaN is NaN: a page must be cleared before such a sequence gets it.

    Raises MemoryError if the machine refuses the memory.
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
        # Views, made once: a slice costs a microsecond, and a step would make two a layer.
        self.by_token = list(self.latents.flatten(1, 2))
        self.by_page = list(self.latents.flatten(2, 3))
        self._gathered = self.latents.new_empty(0, page_size * config.latent_dim)

    def gather(self, layer: int, pages: Tensor) -> Tensor:
        """Copy one layer's `pages` int64 [N] to [N, page_size * latent_dim], in the cache's dtype.

        Valid until the next call, which reuses the memory: allocating 40 MB at every layer of a
        step takes five times as long as filling them.
        """
        if len(self._gathered) < len(pages):
            self._gathered = self._gathered.new_empty(len(pages), self._gathered.shape[1])
        out = self._gathered[: len(pages)]
        return torch.index_select(self.by_page[layer], 0, pages, out=out)

    def clear(self, pages: list[int]) -> None:
        """Zero these pages in every layer; the request before may have left NaN in them."""
        self.latents[:, pages] = 0


class PagedLatentCache:
    """The `model.LatentCache` of B sequences in one pass.

    memory: the pages.
    page_table: int64 [B, P], the pages of each sequence in order; a row that needs fewer than P
        pages is padded with any page. P * page_size is at least `length`.
    positions: int64 [B, T], the new tokens' positions: the tensor that the model is called with.
    length: the largest position plus one.
    """

    def __init__(
        self, memory: LatentPages, page_table: Tensor, positions: Tensor, length: int
    ) -> None:
        size = memory.page_size
        self.memory, self.positions, self.length = memory, positions, length
        self.slots = (page_table.gather(1, positions // size) * size + positions % size).flatten()
        self.pages = page_table.flatten()
        self.shape = (page_table.shape[0], page_table.shape[1] * size, -1)

    def extend(self, layer: int, latents: Tensor, positions: Tensor) -> Tensor:
        """See `LatentCache.extend`. latents: [B, T, latent_dim].

        Returns [B, length, latent_dim] in the cache's dtype, valid until the next call. Raises
        ValueError for positions that the cache was not made for.
        """
        if positions is not self.positions:
            raise ValueError("a PagedLatentCache serves only the positions it was made for")
        by_token = self.memory.by_token[layer]
        by_token.index_copy_(0, self.slots, latents.flatten(0, 1).to(by_token.dtype))
        gathered: Tensor = self.memory.gather(layer, self.pages).view(self.shape)
        return gathered[:, : self.length]


class AttendedPages:
    """The `model.AttendingCache` of the N tokens of one step, of S sequences.

    page_table: int32 [S, P], the pages of each sequence in order, padded with any page.
    sequence: int32 [N], each token's row of page_table. positions: int64 [N], its position in that
    sequence.
    """

    def __init__(
        self, memory: LatentPages, page_table: Tensor, sequence: Tensor, positions: Tensor
    ) -> None:
        size = memory.page_size
        self.memory, self.page_table, self.sequence = memory, page_table, sequence
        self.lengths = (positions + 1).int()
        pages = page_table[sequence.long(), positions // size].long()
        self.slots = pages * size + positions % size

    def store(self, layer: int, latents: Tensor) -> None:
        """See `AttendingCache.store`. latents: [N, 1, latent_dim]."""
        by_token = self.memory.by_token[layer]
        by_token.index_copy_(0, self.slots, latents.flatten(0, 1).to(by_token.dtype))

    def attend(self, layer: int, query: Tensor, scale: float, rank: int) -> Tensor:
        """See `AttendingCache.attend`."""
        pages = self.memory.latents[layer]
        return latent_attention(
            query, pages, self.page_table, self.sequence, self.lengths, scale, rank
        )


def zeros_on_demand(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """torch.zeros of `shape`, but on a CPU a page of memory is zeroed when it is first used.

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
