"""The sequence-wise balance loss of DeepSeek-V3 (arXiv 2412.19437, equations 17 to 20).

For a sequence of T tokens and scores s over E experts, K of them chosen a token:
alpha * sum over experts i of f_i P_i, where f_i = E / (K T) times the tokens that have i among
their K highest scores (without the correction bias), and P_i the mean of s_i / sum of s.

Its gradient is added where the scores are, in the backward pass. So the loss needs no way of its
own to the end of the network: micro-batches and pipelines carry it without knowing of it.
"""

from typing import Any

import torch
from torch import Tensor


def sequence_balance(
    scores: Tensor, observed: Tensor | None, choices: int, weight: float
) -> tuple[Tensor, Tensor]:
    """scores float32 [B, T, E] -> the same, with the loss's gradient to come, and the loss, [].

    observed: bool [B, T], the tokens that count; None: all. Each of the B is a sequence; its loss
    is multiplied by `weight`, alpha over the number of sequences in the step.
    """
    with torch.no_grad():
        experts = scores.shape[-1]
        counted = torch.ones_like(scores[..., 0]) if observed is None else observed.float()
        length = counted.sum(1, keepdim=True).clamp_min(1.0)
        highest = scores.topk(choices, dim=-1, sorted=False).indices
        picked = torch.zeros_like(scores).scatter_(-1, highest, 1.0)
        fractions = torch.einsum("bte,bt->be", picked, counted) * experts / (choices * length)
        means = torch.einsum("bte,bt->be", shares(scores), counted) / length
        loss = weight * (fractions * means).sum()
    balanced: Tensor = SequenceBalance.apply(  # type: ignore[no-untyped-call]
        scores, fractions, weight * counted / length
    )
    return balanced, loss


def shares(scores: Tensor) -> Tensor:
    """Each token's scores over their sum: [B, T, E], as they come."""
    return scores / total(scores)


def total(scores: Tensor) -> Tensor:
    """Each token's sum of scores [B, T, E], never zero: [B, T, 1]."""
    return scores.sum(-1, keepdim=True) + 1e-20


class SequenceBalance(torch.autograd.Function):
    """The scores as they are; backward adds the loss's gradient to what comes from above."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, fractions: Tensor, weights: Tensor) -> Tensor:
        """scores [B, T, E], fractions f [B, E], weights [B, T]: of a token's term P."""
        ctx.save_for_backward(scores, fractions, weights)
        return scores.view_as(scores)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """d/ds_j of sum_i f_i s_i / S is (f_j - sum_i f_i s_i / S) / S: [B, T, E].

        DeepSeek-V3, equations 17 to 20.
        """
        scores, fractions, weights = ctx.saved_tensors
        mean = torch.einsum("bte,be->bt", shares(scores), fractions)
        own = (fractions[:, None] - mean[..., None]) / total(scores)
        return gradient + own * weights[..., None], None, None
