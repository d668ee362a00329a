"""The largest scaled attention logit of each head, S_max of algorithm 1, for any trainer.

Three ways to compute it (report 2.1 leaves this open):

- *exact*: queries times keys once more, forward only, in chunks. It costs a third of the forward
  pass of fused attention, and little memory.
- *by logsumexp*, which fused attention kernels return beside their output. The largest logit is at
  most that, and at least that minus ln(number of keys). Clipping by it never clips too little;
  below a tau of about 30 the slack, ln n, begins to matter.
- *exact on trigger*: the bound in every step, and the exact value only for layers where the bound
  exceeds tau. It clips what `exact` would clip.
"""

from collections.abc import Callable, Sequence

import torch
import torch.distributed as dist
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

    S_max of the report, section 2.1 and algorithm 1.

    query [B, H, T, D], key [B, K, keys, D]; K divides H, and query head h reads key head
    h * K // H. causal: a query sees the keys up to its own position, so there are T of them.
    visible: bool [B, H, T, keys], B or H may be 1: which of those a mask leaves visible. chunk:
    queries processed at a time. Raises ValueError for another number of keys where causal.
    """
    heads, length = query.shape[1:3]
    keys = key.shape[2]
    if causal and keys != length:
        raise ValueError(
            f"{length} queries and {keys} keys have no common positions: pass causal=False and say "
            "by `visible` which keys a query sees"
        )
    key = key.repeat_interleave(heads // key.shape[1], dim=1)
    largest = torch.full((heads,), -torch.inf, device=query.device)
    for start in range(0, length, chunk):
        end = min(start + chunk, length)
        seen = end if causal else keys
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
    """An upper bound of each head's largest logit: logsumexp [B, H, T] -> float32 [H]."""
    return logsumexp.float().amax(dim=(0, 2))


@torch.no_grad()
def max_logits_on_trigger(
    bounds: Tensor,
    tau: float,
    exact: Sequence[Callable[[], Tensor]],
    *,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """The bounds, with exact values for the layers where a bound exceeds tau: [layers, H].

    bounds: [layers, H] of the rows computed here, see `max_logits_by_lse`. exact: computes [H] of
    the same rows for each layer; called only where a bound of these rows exceeds tau.
    group: the ranks that compute other rows of the batch; the result is then the maximum over them,
    the same on each. A NaN becomes infinity there, which `qk_clip` refuses too.
    A head above tau in the result is truly above it.
    """
    triggered = (bounds > tau).any(dim=1).tolist()
    rows = zip(bounds, exact, triggered, strict=True)
    largest = torch.stack([compute() if wanted else bound for bound, compute, wanted in rows])
    if group is not None:
        largest = largest.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf)
        dist.all_reduce(largest, dist.ReduceOp.MAX, group=group)
    return largest
