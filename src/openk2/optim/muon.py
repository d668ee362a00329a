"""Muon with K2's scaling (report algorithm 1, lines 3-8).

For each matrix W [n, m]: M = mu M + G; O = NewtonSchulz(M) * sqrt(max(n, m)) * 0.2;
W = W - lr (O + wd W). The factor makes the update's root mean square that of AdamW, so that both
share one learning rate. A parameter of three dimensions is a stack of matrices, one an expert.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

from openk2.optim.newton_schulz import orthogonalize

RMS_OF_ADAMW = 0.2


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Same-shape matrices go through Newton-Schulz as one batch.

    params: tensors of two dimensions, or three for stacks. Raises ValueError for any other, and
        for a setting out of range.
    momentum: mu. nesterov: use G + mu M instead of M (Moonlight's code does, the listing does not).
    ns_dtype: float32 or bfloat16, see `orthogonalize`. Momentum is kept in float32.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float = 2e-4,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        nesterov: bool = False,
        ns_steps: int = 5,
        ns_dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "ns_dtype": ns_dtype,
        }
        checks = {
            "lr": (0 <= lr < math.inf, "a finite number, 0 or more"),
            "momentum": (0 <= momentum < 1, "at least 0 and below 1"),
            "weight_decay": (0 <= weight_decay < math.inf, "a finite number, 0 or more"),
            "ns_steps": (ns_steps >= 1, "at least 1"),
        }
        for name, (ok, remedy) in checks.items():
            if not ok:
                raise ValueError(f"{name} is {defaults[name]}: it must be {remedy}")
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim not in (2, 3):
                    raise ValueError(
                        f"Muon takes matrices or stacks, not shape {tuple(parameter.shape)}: "
                        "give this tensor to AdamW"
                    )

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            batches: dict[tuple[int, ...], list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    batches[tuple(parameter.shape[-2:])].append(parameter)
            for parameters in batches.values():
                self.update(parameters, group)
        return loss

    def update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Update parameters whose matrices all have one shape."""
        directions = [self.direction(p, group) for p in parameters]
        batch = torch.cat(directions)
        scale = RMS_OF_ADAMW * math.sqrt(max(batch.shape[-2:]))
        steps = orthogonalize(batch, steps=group["ns_steps"], dtype=group["ns_dtype"])
        for parameter, step in zip(
            parameters, steps.split([d.shape[0] for d in directions]), strict=True
        ):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(step.view_as(parameter).to(parameter.dtype), alpha=-group["lr"] * scale)

    def direction(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Advance this parameter's momentum and return what to orthogonalise [stack, n, m]."""
        assert parameter.grad is not None
        gradient = parameter.grad.float()
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter, dtype=torch.float32)
        momentum: Tensor = state["momentum"]
        momentum.mul_(group["momentum"]).add_(gradient)
        direction = gradient + group["momentum"] * momentum if group["nesterov"] else momentum
        return direction if direction.ndim == 3 else direction[None]
