"""A step's scalars, read from the device in one transfer."""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from openk2.model import Observation


@dataclass(frozen=True)
class Readings:
    """loss, balance_loss, grad_norm, max_logit: see `StepReport`. nll_by_role: see `StepLoss`.

    load_violations: for each layer the busiest expert's load over the mean load, minus 1 (MaxVio).
    idle: for each layer how many experts saw no token. Both are 0 for dense layers.
    """

    loss: float
    balance_loss: float
    grad_norm: float
    max_logit: float
    nll_by_role: tuple[float, ...]
    load_violations: tuple[float, ...]
    idle: tuple[int, ...]

    @classmethod
    def read(
        cls, loss: Tensor, nll_by_role: Tensor, norm: Tensor, observation: Observation
    ) -> "Readings":
        """loss, norm: scalars; nll_by_role: [roles]. A NaN among the logits is read as NaN."""
        violations, idle = load_statistics(observation.expert_load)
        scalars = loss, observation.balance_loss.sum(), norm, observation.max_logits.amax()
        first = torch.stack([scalar.float() for scalar in scalars])
        parts = first, nll_by_role, violations, idle
        numbers = iter(torch.cat(parts).tolist())
        told, nll, by_layer, idle_by_layer = (tuple(islice(numbers, len(part))) for part in parts)
        mean, balance, size, largest = told
        return cls(mean, balance, size, largest, nll, by_layer, tuple(map(int, idle_by_layer)))


def load_statistics(load: Tensor) -> tuple[Tensor, Tensor]:
    """load [layers, experts] -> violations and numbers of idle experts, float32 [layers] each.

    A layer without any load is a dense one.
    """
    mean = load.mean(1)
    violations = torch.where(mean > 0, load.amax(1) / mean.clamp_min(1e-9) - 1, 0.0)
    idle = torch.where(mean > 0, (load == 0).sum(1), 0)
    return violations, idle.float()
