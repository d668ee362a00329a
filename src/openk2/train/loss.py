"""The loss of a training step: weighted cross-entropy over its learned tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.data import Role
from openk2.train.loss_weights import LossWeights

IGNORED = -100


class StepLoss:
    """sum(weight * nll) / `total`, where a token's weight is its role's.

    total: what is divided by: the sum of weights over the learned tokens of the whole step, on all
    processes. One object serves all the passes of a step: each call gives a pass's part of the
    loss and adds to nll_by_role, float32 [roles], the unweighted sums over what was seen here.
    """

    def __init__(
        self,
        total: float,
        weights: LossWeights = LossWeights(),
        device: torch.device | str = "cpu",
    ) -> None:
        self.total = total
        self.weights = None
        if weights != LossWeights():
            self.weights = torch.tensor(weights.by_role, device=device)
        self.roles = torch.arange(len(Role), device=device)
        self.nll_by_role = torch.zeros(len(Role), device=device)

    def __call__(self, head: nn.Module, hidden: Tensor, targets: Tensor, roles: Tensor) -> Tensor:
        """Of `head` over final `hidden` [B, T, hidden]; targets [B, T], roles [B, T].

        Only hidden states that predict a learned token reach the head: in fine-tuning that is a
        quarter of them, and logits are the widest tensor of the pass.
        """
        targets, roles = targets.flatten(), roles.flatten()
        wanted = (targets != IGNORED).nonzero().squeeze(1)
        targets, roles = targets[wanted], roles[wanted]
        scores = F.log_softmax(head(hidden.flatten(0, 1)[wanted]).float(), dim=-1)
        with torch.no_grad():
            nll = F.nll_loss(scores, targets, reduction="none")
            # Not index_add_, which on a GPU adds in another order each time.
            self.nll_by_role += (nll[:, None] * (roles[:, None] == self.roles)).sum(0)
        if self.weights is None:
            return F.nll_loss(scores, targets, reduction="sum") / self.total
        weights = self.weights[roles.long()]
        return (weights * F.nll_loss(scores, targets, reduction="none")).sum() / self.total
