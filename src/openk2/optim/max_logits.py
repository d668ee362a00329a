"""The largest scaled attention logit of each head, as QK-Clip wants it, for any trainer.

Three ways to know it (report 2.1 leaves this open):

- *exact*: queries times keys once more, forward only, in chunks. A third more than the forward
  pass of fused attention, no memory to speak of.
- *by logsumexp*, which every fused attention kernel returns beside its output: the largest logit
  is at most that, and at least that minus ln(number of keys). Clipping by it never clips too
  little; below a tau of about 30 the slack, ln n, begins to matter.
- *exact on trigger*: the bound in every step, the exact value only of layers where it passes tau.
  What is clipped is then what `exact` would clip.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


@torch.no_grad()
def exact_max_logits(
    query: Tensor,
    key: Tensor,
    scale: float,
    *,
    causal: bool = True,
    visible: Tensor | None = None,
    chunk: int = 256,
) -> Tensor:
    """The largest of scale * query . key over the batch and all visible pairs: float32 [H].

    query [B, H, T, D], key [B, K, T, D] with K dividing H, query head h reading key head
    h * K // H. causal: a query sees keys up to its own place. visible: bool
    [B, H, T, keys], with 1 for B or H if all are alike: what a mask leaves of that. chunk: queries
    at a time.
    """
    heads, length = query.shape[1:3]
    key = key.repeat_interleave(heads // key.shape[1], dim=1)
    largest = torch.full((heads,), -torch.inf, device=query.device)
    for start in range(0, length, chunk):
        end = min(start + chunk, length)
        seen = end if causal else length
        logits = (query[:, :, start:end] @ key[:, :, :seen].mT).float() * scale
        if causal:
            places = torch.arange(start, end, device=query.device)
            later = torch.arange(seen, device=query.device) > places[:, None]
            logits = logits.masked_fill(later, -torch.inf)
        if visible is not None:
            logits = logits.masked_fill(~visible[..., start:end, :seen], -torch.inf)
        largest = torch.maximum(largest, logits.amax(dim=(0, 2, 3)))
    return largest


@torch.no_grad()
def max_logits_by_lse(logsumexp: Tensor) -> Tensor:
    """An upper bound of each head's largest logit, float32 [H], from logsumexp [B, H, T]."""
    return logsumexp.float().amax(dim=(0, 2))


@torch.no_grad()
def max_logits_on_trigger(
    bounds: Tensor, tau: float, exact: Sequence[Callable[[], Tensor]]
) -> Tensor:
    """[layers, H]: the bounds, but the exact values of layers where a bound passes tau.

    bounds: [layers, H], see `max_logits_by_lse`, the same on every rank: reduce them by maximum
    before. exact: for each layer how to compute its [H]; called only where it matters. Heads that
    are above tau by the result are above it in truth.
    """
    triggered = (bounds > tau).any(dim=1).tolist()
    rows = zip(bounds, exact, triggered, strict=True)
    return torch.stack([compute() if wanted else bound for bound, compute, wanted in rows])
