"""What a step's tensors say, brought from the device in one message."""

from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.model import Observation


@dataclass(frozen=True)
class Readings:
    """loss, balance_loss, grad_norm, max_logit: see `StepReport`.

    load_violations: for each layer the busiest expert's load over the mean load, minus 1 (MaxVio).
    idle: for each layer how many experts saw no token. Both are 0 for dense layers.
    """

    loss: float
    balance_loss: float
    grad_norm: float
    max_logit: float
    load_violations: tuple[float, ...]
    idle: tuple[int, ...]

    @classmethod
    def read(cls, loss: Tensor, norm: Tensor, observation: Observation) -> "Readings":
        """loss, norm: scalars. A NaN among the logits is read as NaN."""
        violations, idle = load_statistics(observation.expert_load)
        scalars = loss, observation.balance_loss.sum(), norm, observation.max_logits.amax()
        packed = torch.cat((torch.stack([s.float() for s in scalars]), violations, idle)).tolist()
        layers = len(violations)
        mean, balance, size, largest = packed[:4]
        idle_experts = tuple(map(int, packed[-layers:]))
        return cls(mean, balance, size, largest, tuple(packed[4:-layers]), idle_experts)


def load_statistics(load: Tensor) -> tuple[Tensor, Tensor]:
    """load [layers, experts] -> violations and numbers of idle experts, float32 [layers] each.

    A layer without any load is a dense one.
    """
    mean = load.mean(1)
    violations = torch.where(mean > 0, load.amax(1) / mean.clamp_min(1e-9) - 1, 0.0)
    idle = torch.where(mean > 0, (load == 0).sum(1), 0)
    return violations, idle.float()
