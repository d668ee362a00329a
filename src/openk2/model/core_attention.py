"""softmax(Q K^T) V, apart from the projections around it: what a fused kernel can replace.

Equation 10 of DeepSeek-V3 (arXiv 2412.19437, section 2.1.1), with the largest logit of each head
that QK-Clip needs (report 2.1). B sequences, H heads, T queries, S keys, D = qk_head_dim,
V = v_head_dim.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from openk2.model.observation import EVERYWHERE, Observation
from openk2.model.spans import Span, windows

# Products [B, H, T, S], mask [B or 1, 1, T, S] and their place in the pass -> attention weights.
Weigh = Callable[..., Tensor]


class CoreAttention(Protocol):
    """Attention over expanded keys and values."""

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor,
        spans: list[list[Span]] | None,
        weigh: Weigh,
    ) -> Tensor:
        """query [B, H, T, D], key [B, H, S, D], value [B, H, S, V] -> [B, H, T, V].

        mask: bool [B or 1, 1, T, S]. spans: see `OwnKeys`. weigh: the layer's `AttentionWeights`.
        """
        ...


class AttentionWeights(nn.Module):
    """Scale, mask and normalise query-key products; observe the largest logit of each head."""

    def __init__(self, scale: float, layer: int) -> None:
        super().__init__()
        self.scale, self.layer = scale, layer

    def forward(
        self,
        products: Tensor,
        mask: Tensor,
        where: tuple[slice, slice] = EVERYWHERE,
        *,
        observation: Observation | None = None,
    ) -> Tensor:
        """products [B, H, T, S] -> weights of the same shape and dtype, computed in float32.

        where: which sequences and queries of the pass these are.
        """
        logits = (products.float() * self.scale).masked_fill(~mask, -torch.inf)
        if observation is not None:
            observation.see_logits(self.layer, logits.detach().amax(dim=-1), where)
        weights = logits.softmax(dim=-1)
        if observation is not None:
            observation.see_weights(self.layer, weights)
        return weights.to(products.dtype)


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    spans: list[list[Span]] | None,
    weigh: Weigh,
) -> Tensor:
    """`CoreAttention` in torch's own operations, span by span where there are spans.

    See `CoreAttention` for shapes.
    """
    if spans is None:
        mixed: Tensor = weigh(query @ key.transpose(-1, -2), mask) @ value
        return mixed
    here = [(row, span) for row, row_spans in enumerate(spans) for span in row_spans]
    queries = windows(query, [(row, span.start, span.end) for row, span in here])
    seen = [(row, span.first, span.end) for row, span in here]
    parts = []
    for (row, span), q, k, v in zip(
        here, queries, windows(key, seen), windows(value, seen), strict=True
    ):
        visible = mask[row, :, span.start : span.end, span.first : span.end]
        where = slice(row, row + 1), slice(span.start, span.end)
        parts.append(weigh((q @ k.mT)[None], visible[None], where)[0] @ v)
    # Rows have one length, and their spans follow each other.
    rows: Tensor = torch.cat(parts, dim=1).unflatten(1, (len(spans), -1)).transpose(0, 1)
    return rows
