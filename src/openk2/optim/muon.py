"""Muon with K2's scaling (report algorithm 1, lines 3-8).

For each matrix W [n, m]: M = mu M + G; O = NewtonSchulz(M) * sqrt(max(n, m)) * 0.2;
W = W - lr (O + wd W). The factor makes the update's root mean square that of AdamW, so that both
share one learning rate. A parameter of three dimensions is a stack of matrices, one an expert; one
that holds several matrices side by side is told apart by a `Fused`.

Over several processes each matrix is orthogonalised once. Whole matrices are updated where they
are: all of an unsharded model, and what a rank holds of a sharded stack. Of the others the momenta
are sharded as the weights are, and the directions travel (`work`, `exchange`).
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.exchange import Copies, Exchange, Rows
from openk2.optim.fused import Fused
from openk2.optim.matrices import Matrices
from openk2.optim.newton_schulz import QUINTIC, Coefficients
from openk2.optim.shards import is_sharded, local, local_rows, splitting
from openk2.optim.update import Settings, Stack, update_here, update_together
from openk2.optim.work import share_out

DTYPES = (torch.float32, torch.bfloat16)
ALONE = Fused(1)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Same-shape matrices go through Newton-Schulz together.

    params: tensors of two dimensions, or three for stacks. Raises ValueError for any other, and
        for a setting out of range.
    momentum: mu. nesterov: use G + mu M instead of M (Moonlight's code does, the listing does not).
    ns_steps, coefficients, ns_dtype: see `orthogonalize`. momentum_dtype: of the kept momentum,
        float32 or bfloat16; it is advanced in float32.
    fused: how the matrices of a parameter that holds several are told apart.
    copies: for a parameter that several ranks hold alike, with the same gradient, those ranks: they
        share its work. Every rank of them must take every step.
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
        fused: Mapping[Tensor, Fused] | None = None,
        copies: Mapping[Tensor, dist.ProcessGroup] | None = None,
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
        self.copies = copies or {}
        self.fused = fused or {}
        self.matrices: dict[Tensor, list[Matrices]] = {}
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Torch's, for tensors that Muon can take. Raises ValueError for another."""
        super().add_param_group(param_group)
        for parameter in self.param_groups[-1]["params"]:
            if parameter.ndim not in (2, 3):
                raise ValueError(
                    f"Muon takes matrices or stacks, not shape {tuple(parameter.shape)}: "
                    "give this tensor to AdamW"
                )
            splitting(parameter)  # refuses what Muon cannot take
            self.matrices[parameter] = self.fused.get(parameter, ALONE).of(parameter)

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
            learning = [p for p in group["params"] if p.grad is not None]
            settings = Settings(**{name: group[name] for name in Settings.__annotations__})
            for exchange, parameters in self.by_exchange(learning).items():
                stacks = [stack for p in parameters for stack in self.stacks(p, group)]
                if exchange is None:
                    update_here(stacks, settings)
                else:
                    jobs = share_out(self.matrices_of(parameters), exchange.group.size())
                    update_together(stacks, jobs, exchange, settings)
        return loss

    def ranks(self) -> dict[Tensor, str]:
        """Which ranks orthogonalise each parameter's matrices, in words; empty: only this one."""
        said: dict[Tensor, str] = {}
        for group in self.param_groups:
            for exchange, parameters in self.by_exchange(group["params"]).items():
                if exchange is None:
                    said |= {p: "each its own" for p in parameters if is_sharded(p)}
                    continue
                ranks = dist.get_process_group_ranks(exchange.group)
                whose = [p for p in parameters for _ in self.matrices[p]]
                owners: dict[Tensor, set[int]] = defaultdict(set)
                for job in share_out(self.matrices_of(parameters), len(ranks)):
                    owners[whose[job.stack]].add(ranks[job.owner])
                said |= {p: in_words(sorted(ranks)) for p, ranks in owners.items()}
        return said

    def by_exchange(self, parameters: Iterable[Tensor]) -> dict[Exchange | None, list[Tensor]]:
        """Parameters by what they need to be whole; None: nothing, or no other rank has them."""
        sorted_out: dict[Exchange | None, list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            sorted_out[self.exchange(parameter)].append(parameter)
        return sorted_out

    def exchange(self, parameter: Tensor) -> Exchange | None:
        """How the parameter's matrices get whole."""
        split = splitting(parameter)
        if split is not None:
            return Rows(split[0]) if parameter.ndim == 2 else None
        group = self.copies.get(parameter)
        return Copies(group) if group is not None and group.size() > 1 else None

    def matrices_of(self, parameters: Iterable[Tensor]) -> tuple[Matrices, ...]:
        """All matrices of these parameters, as `stacks` gives them."""
        return tuple(matrices for p in parameters for matrices in self.matrices[p])

    def stacks(self, parameter: Tensor, group: dict[str, Any]) -> list[Stack]:
        """What this process holds of a parameter, as stacks of matrices; views, not copies."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter, dtype=group["momentum_dtype"])
        tensors = [local(t) for t in (parameter.detach(), parameter.grad, state["momentum"])]
        tensors = [tensor if tensor.ndim == 3 else tensor[None] for tensor in tensors]
        held = range(parameter.shape[1]) if parameter.ndim == 3 else local_rows(parameter)
        return [
            Stack((each.rows_in(held), each.columns), *(each.view(t, held) for t in tensors))
            for each in self.matrices[parameter]
        ]


def in_words(ranks: list[int]) -> str:
    """Rank numbers, in order, as a table shows them."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    apart = ranks[1] - ranks[0]
    even = all(b - a == apart for a, b in itertools.pairwise(ranks))
    if even and len(ranks) > 2:
        return f"ranks {ranks[0]} to {ranks[-1]}" + (f" by {apart}" if apart > 1 else "")
    return "ranks " + ", ".join(map(str, ranks))
