"""What every decoder layer of a forward pass needs besides its hidden states, as one object.

B sequences, T new tokens each, S keys. Which keys a query attends to is one of three types: the
keys of its own row (training), of a cache that returns latents, or of a cache that attends itself.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.kernels import PagedKeys
from openk2.model.cache import AttendingCache, LatentCache
from openk2.model.observation import Observation
from openk2.model.rope import inverse_frequencies, rotation
from openk2.model.spans import Span, document_spans


@dataclass(frozen=True)
class OwnKeys:
    """Queries attend to keys of their own row.

    mask: bool [B or 1, T, T], True where a key is visible. spans: `document_spans` of packed rows,
    which skip pairs that `mask` hides anyway; None: compute the whole square.
    """

    mask: Tensor
    spans: list[list[Span]] | None = None


@dataclass(frozen=True)
class CachedKeys:
    """Queries attend to the latents that `cache` returns.

    positions: int64 [B, T], of the new tokens. mask: bool [B, T, S], True where a key is visible.
    """

    cache: LatentCache
    positions: Tensor
    mask: Tensor


@dataclass(frozen=True)
class KeysInCache:
    """The cache computes attention itself, and decides what is visible."""

    cache: AttendingCache


Keys = OwnKeys | CachedKeys | KeysInCache


@dataclass(frozen=True)
class LayerContext:
    """One forward pass, for its layers.

    rotation: cos and sin, float32 [B, T, qk_rope_head_dim / 2] each. observation: what to record.
    """

    rotation: tuple[Tensor, Tensor]
    keys: Keys
    observation: Observation | None = None

    @property
    def paged(self) -> PagedKeys | None:
        """Where native kernels find the keys; None if only the cache itself does, or if what the
        layers compute on the way is observed."""
        if self.observation is not None or not isinstance(self.keys, KeysInCache):
            return None
        return self.keys.cache.paged()


def layer_context(
    config: ModelConfig,
    hidden: Tensor,
    *,
    segments: Tensor | None = None,
    positions: Tensor | None = None,
    cache: LatentCache | AttendingCache | None = None,
    observation: Observation | None = None,
) -> LayerContext:
    """The context of a pass over `hidden` [B, T, hidden]; the rest as in `K2Model.forward`.

    Raises ValueError for a cache without positions.
    """
    batch, length = hidden.shape[:2]
    device = hidden.device
    if positions is None:
        if cache is not None:
            raise ValueError("positions is None: a forward pass with a cache needs them")
        positions = torch.arange(length, device=device).expand(batch, length)
    turns = rotation(config, inverse_frequencies(config).to(device), positions)
    if observation is not None:
        observation.see_only(None if segments is None else segments >= 0)
    return LayerContext(turns, keys_of(length, segments, positions, cache, device), observation)


def keys_of(
    length: int,
    segments: Tensor | None,
    positions: Tensor,
    cache: LatentCache | AttendingCache | None,
    device: torch.device,
) -> Keys:
    """Which keys `length` new tokens a row attend to.

    segments: [B, T], documents packed into a row, or None. positions: [B, T], of the new tokens.
    """
    if cache is None:
        spans = None if segments is None else document_spans(segments)
        return OwnKeys(causal_mask(length, segments, device), spans)
    if isinstance(cache, AttendingCache):
        return KeysInCache(cache)
    keys = torch.arange(int(positions.max()) + 1, device=device)
    return CachedKeys(cache, positions, keys <= positions[..., None])


def causal_mask(length: int, segments: Tensor | None, device: torch.device) -> Tensor:
    """bool [B or 1, T, T], True where a key is visible: earlier in the row, of the same segment."""
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None]
    return causal if segments is None else causal & (segments[:, :, None] == segments[:, None, :])
