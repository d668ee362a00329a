"""`LatentCache`: the interface of a cache of latents, and the plain contiguous one.

MLA caches one vector a token and layer: the normalised key-value latent (kv_lora_rank wide) and
the shared rope key (qk_rope_head_dim wide, already rotated). With K2's geometry that is 576
values, against 64 * (192 + 128) if keys and values were kept expanded.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.kernels import PagedKeys


class LatentCache(Protocol):
    """Latents of a batch of sequences, addressed by layer.

    Row b of a returned tensor holds the latents of positions 0, 1, 2, ... of sequence b; entries
    past that sequence's last position may hold anything finite: attention masks them by position.
    """

    def extend(self, layer: int, latents: Tensor, positions: Tensor) -> Tensor:
        """Store `latents` [B, T, latent_dim] at `positions` [B, T]; return all [B, S, latent_dim].

        S is at least the largest position plus one.
        """
        ...


@runtime_checkable
class AttendingCache(Protocol):
    """A cache that computes attention itself, over wherever it keeps the latents.

    It serves the N tokens it was made for, in the order of the forward pass.
    """

    def store(self, layer: int, latents: Tensor) -> None:
        """Store `latents` [B, T, latent_dim], B * T = N, at the tokens' places."""
        ...

    def attend(self, layer: int, query: Tensor, scale: float, rank: int) -> Tensor:
        """query [N, H, latent_dim] over the keys up to each token's own: [N, H, rank]."""
        ...

    def paged(self) -> PagedKeys | None:
        """Where the native kernels find and store all latents; None: only these methods know."""
        ...


class ContiguousCache:
    """One preallocated tensor [layers, batch, max_length, latent_dim]: the plain twin of paging."""

    def __init__(
        self,
        config: ModelConfig,
        batch: int,
        max_length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.latents = torch.zeros(
            config.num_hidden_layers,
            batch,
            max_length,
            config.latent_dim,
            dtype=dtype,
            device=device,
        )

    def extend(self, layer: int, latents: Tensor, positions: Tensor) -> Tensor:
        """See `LatentCache.extend`."""
        rows = torch.arange(latents.shape[0], device=latents.device)[:, None].expand_as(positions)
        self.latents[layer][rows, positions] = latents.to(self.latents.dtype)
        return self.latents[layer, :, : int(positions.max()) + 1]
