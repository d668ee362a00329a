"""MuonClip as the report lists it: algorithm 1, in its own order, one plain loop over everything.

The plain twin that the tests hold the optimizer against. It is slow, takes plain tensors on one
device, changes them in place and checks nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor


@dataclass(frozen=True)
class HeadViews:
    """Views of one head's rows: W_qc, W_kc [nope, rank] and W_qr [rope, rank]."""

    query_nope: Tensor
    key_nope: Tensor
    query_rope: Tensor


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """matrix [n, m] -> [n, m] with singular values near 1, float32 (Muon, Jordan et al. 2024)."""
    x = matrix.float() if matrix.shape[0] <= matrix.shape[1] else matrix.float().mT
    x = x / x.norm()
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    result: Tensor = x if matrix.shape[0] <= matrix.shape[1] else x.mT
    return result


@torch.no_grad()
def muon_clip_step(
    weights: Sequence[Tensor],
    gradients: Sequence[Tensor],
    momenta: Sequence[Tensor],
    heads: Sequence[HeadViews],
    max_logits: Sequence[float],
    *,
    lr: float,
    mu: float,
    weight_decay: float,
    tau: float,
) -> None:
    """One training step of algorithm 1; weights and momenta [n, m], each changed in place.

    heads: of every attention layer, views into `weights`; max_logits: S_max of each of them.
    """
    for w, g, m in zip(weights, gradients, momenta, strict=True):  # 1. Muon optimizer step
        m.copy_(mu * m + g)  # line 4
        o = newton_schulz(m) * sqrt(max(w.shape)) * 0.2  # line 5: match Adam's RMS
        w.copy_(w - lr * (o + weight_decay * w))  # line 6
    for head, s_max in zip(heads, max_logits, strict=True):  # 2. QK-Clip
        if s_max > tau:  # line 11
            gamma = tau / s_max
            head.query_nope.mul_(sqrt(gamma))
            head.key_nope.mul_(sqrt(gamma))
            head.query_rope.mul_(gamma)
