"""Muon with K2's scaling (report algorithm 1, lines 3-8).

For each matrix W [n, m]: M = mu M + G; O = NewtonSchulz(M) * sqrt(max(n, m)) * 0.2;
W = W - lr (O + wd W). The factor makes the update's root mean square that of AdamW, so that both
share one learning rate. A parameter of three dimensions is a stack of matrices, one an expert.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, overload

import torch
from torch import Tensor

from openk2.optim.newton_schulz import QUINTIC, Coefficients, orthogonalize

RMS_OF_ADAMW = 0.2
# Numbers that go through Newton-Schulz together: enough to keep every core busy with small
# matrices, few enough for what is computed in between to stay in memory that the process has.
# All experts of two layers at once took twice as long (benchmarks/muon.md).
BATCH_NUMBERS = 1 << 22
DTYPES = (torch.float32, torch.bfloat16)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Same-shape matrices go through Newton-Schulz together.

    params: tensors of two dimensions, or three for stacks. Raises ValueError for any other, and
        for a setting out of range.
    momentum: mu. nesterov: use G + mu M instead of M (Moonlight's code does, the listing does not).
    ns_steps, coefficients, ns_dtype: see `orthogonalize`. momentum_dtype: of the kept momentum,
        float32 or bfloat16; it is advanced in float32.
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
        coefficients: Coefficients = QUINTIC,
        ns_dtype: torch.dtype = torch.bfloat16,
        momentum_dtype: torch.dtype = torch.float32,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "coefficients": coefficients,
            "ns_dtype": ns_dtype,
            "momentum_dtype": momentum_dtype,
        }
        checks = {
            "lr": (0 <= lr < math.inf, "a finite number, 0 or more"),
            "momentum": (0 <= momentum < 1, "at least 0 and below 1"),
            "weight_decay": (0 <= weight_decay < math.inf, "a finite number, 0 or more"),
            "ns_steps": (ns_steps >= 1, "at least 1"),
            "coefficients": (len(coefficients) > 0, "one triple or more"),
            "ns_dtype": (ns_dtype in DTYPES, "float32 or bfloat16"),
            "momentum_dtype": (momentum_dtype in DTYPES, "float32 or bfloat16"),
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
        pieces = [piece for parameter in parameters for piece in self.pieces(parameter, group)]
        scale = RMS_OF_ADAMW * math.sqrt(max(parameters[0].shape[-2:]))
        for batch in batched(pieces):
            directions = [piece.advance(group) for piece in batch]
            steps = orthogonalize(
                torch.cat(directions) if len(batch) > 1 else directions[0],
                steps=group["ns_steps"],
                coefficients=group["coefficients"],
                dtype=group["ns_dtype"],
            )
            for piece, step in zip(batch, steps.split([len(d) for d in directions]), strict=True):
                piece.weights.mul_(1 - group["lr"] * group["weight_decay"])
                piece.weights.add_(step, alpha=-group["lr"] * scale)

    def pieces(self, parameter: Tensor, group: dict[str, Any]) -> list["Piece"]:
        """A parameter as stacks of matrices of at most BATCH_NUMBERS; views, not copies."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter, dtype=group["momentum_dtype"])
        matrices = [
            tensor if tensor.ndim == 3 else tensor[None]
            for tensor in (parameter, parameter.grad, state["momentum"])
        ]
        count = max(1, BATCH_NUMBERS // math.prod(parameter.shape[-2:]))
        return [Piece(*views) for views in zip(*(m.split(count) for m in matrices), strict=True)]


@dataclass(frozen=True)
class Piece:
    """Some matrices [k, n, m] of one parameter, with what belongs to them."""

    weights: Tensor
    gradient: Tensor
    momentum: Tensor

    def advance(self, group: dict[str, Any]) -> Tensor:
        """Advance the momentum and return what to orthogonalise, float32 [k, n, m]."""
        gradient = self.gradient.float()
        momentum = self.momentum.float()  # the kept one itself, if that is float32
        momentum.mul_(group["momentum"]).add_(gradient)
        if momentum is not self.momentum:
            self.momentum.copy_(momentum)
        if group["nesterov"]:
            return torch.add(gradient, momentum, alpha=group["momentum"])
        return momentum


def batched(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    """Pieces together, as long as they hold no more than BATCH_NUMBERS."""
    batch: list[Piece] = []
    numbers = 0
    for piece in pieces:
        if batch and numbers + piece.weights.numel() > BATCH_NUMBERS:
            yield batch
            batch, numbers = [], 0
        batch.append(piece)
        numbers += piece.weights.numel()
    if batch:
        yield batch
