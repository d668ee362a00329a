"""QK-Clip for multi-head latent attention (report 2.1 and algorithm 1, lines 9-17).

When head h's largest scaled logit S exceeds tau, its query and key weights shrink so that the same
inputs would give exactly tau: with g = tau / S, the positionless rows of query and key take
sqrt(g) each and the query's rotary rows take g, because the rotary key is shared by all heads and
must not be touched. This is exact because a norm stands before both up-projections.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentHeads:
    """One attention layer's up-projections.

    query: [heads * (nope + rope), q_rank], rows of a head: nope, then rope.
    key_value: [heads * (nope + v), kv_rank], rows of a head: nope, then v.
    """

    query: Tensor
    key_value: Tensor
    heads: int
    nope: int


@torch.no_grad()
def qk_clip(layers: Sequence[LatentHeads], max_logits: Tensor, tau: float) -> Tensor:
    """Shrink every head whose `max_logits` [layers, heads] exceeds tau, in place.

    Returns which heads were clipped, bool [layers, heads]. A head at or below tau, and a head that
    saw no logit (minus infinity), is left bit-equal. Raises ValueError if a logit is NaN or plus
    infinity: clipping by it would destroy the weights.
    """
    unusable = max_logits.isnan() | (max_logits == torch.inf)
    if unusable.any():
        layer, head = unusable.nonzero()[0].tolist()
        raise ValueError(
            f"max logit of layer {layer} head {head} is {float(max_logits[layer, head])}: "
            "nothing was clipped"
        )
    clipped = max_logits > tau
    factors = torch.where(clipped, tau / max_logits, torch.ones_like(max_logits))
    for up, factor, any_clipped in zip(layers, factors, clipped.any(1).tolist(), strict=True):
        if not any_clipped:
            continue
        g = factor[:, None, None]
        query = up.query.unflatten(0, (up.heads, -1))
        key_value = up.key_value.unflatten(0, (up.heads, -1))
        query[:, : up.nope].mul_(g.sqrt())
        query[:, up.nope :].mul_(g)
        key_value[:, : up.nope].mul_(g.sqrt())
    return clipped
