"""Latents of many sequences in pages of one size (PagedAttention, arXiv 2309.06180, for MLA).

`LatentPages` is the memory. `AttendedPages` (native kernels) and `WavedPages` (torch, any device)
are one step's view of it, which the model uses as its `AttendingCache`. MLA stores one vector of
latent_dim numbers a token and layer, for all heads together.
"""

import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.engine.key_waves import QueryGroup
from openk2.kernels import PagedKeys, latent_attention, wave_attention


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

    def store(self, layer: int, slots: Tensor, latents: Tensor) -> None:
        """Store `latents` [N, 1, latent_dim] of one layer at `slots` int64 [N]."""
        by_token = self.by_token[layer]
        by_token.index_copy_(0, slots, latents.flatten(0, 1).to(by_token.dtype))

    def clear(self, pages: list[int]) -> None:
        """Zero these pages in every layer; the request before may have left NaN in them."""
        self.latents[:, pages] = 0


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
        self.memory.store(layer, self.slots, latents)

    def attend(self, layer: int, query: Tensor, scale: float, rank: int) -> Tensor:
        """See `AttendingCache.attend`."""
        pages = self.memory.latents[layer]
        return latent_attention(
            query, pages, self.page_table, self.sequence, self.lengths, scale, rank
        )

    def paged(self) -> PagedKeys:
        """See `AttendingCache.paged`."""
        return PagedKeys(
            self.memory.latents, self.slots, self.page_table, self.sequence, self.lengths
        )


class WavedPages:
    """The `model.AttendingCache` of the N tokens of one step on any device, by `wave_attention`.

    slots: int64 [N], each token's place among all places of the pages. groups: of all N tokens.
    """

    def __init__(self, memory: LatentPages, slots: Tensor, groups: Sequence[QueryGroup]) -> None:
        self.memory, self.slots, self.groups = memory, slots, groups

    def store(self, layer: int, latents: Tensor) -> None:
        """See `AttendingCache.store`. latents: [N, 1, latent_dim]."""
        self.memory.store(layer, self.slots, latents)

    def attend(self, layer: int, query: Tensor, scale: float, rank: int) -> Tensor:
        """See `AttendingCache.attend`."""
        pages = self.memory.latents[layer]
        heads, width = query.shape[1:]
        parts = [
            wave_attention(
                query[group.queries].view(group.runs, -1, width), pages, group.waves, scale, rank
            ).view(-1, heads, rank)
            for group in self.groups
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def paged(self) -> None:
        """See `AttendingCache.paged`."""


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
