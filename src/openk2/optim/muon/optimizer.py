"""Muon with K2's scaling (report algorithm 1, lines 3-7).

For each matrix W [n, m]: M = mu M + G; O = NewtonSchulz(M) * sqrt(max(n, m)) * 0.2;
W = W - lr (O + wd W). The factor gives the update AdamW's root mean square, so that both share one
learning rate. A parameter of three dimensions is a stack of matrices, one an expert; a `Fused`
describes a parameter that holds several matrices side by side.

Among several processes each matrix is orthogonalised once. Whole matrices are updated where they
are: all of an unsharded model, and a rank's part of a sharded stack. For the others the momentum is
sharded as the weight is, and the processes exchange directions (`work`, `exchange`).
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.copies import Copies
from openk2.optim.muon.exchange import Exchange, Replicas, RowShards
from openk2.optim.muon.fused import Fused
from openk2.optim.muon.matrices import Matrices
from openk2.optim.muon.update import MuonSettings, Stack, update_here, update_together
from openk2.optim.muon.work import divide_work
from openk2.optim.newton_schulz import QUINTIC, Coefficients
from openk2.optim.rounding import is_narrow, rounding_noise
from openk2.optim.saved_state import load_checked, pack
from openk2.optim.shards import is_sharded, local, local_gradient, local_rows, splitting

DTYPES = (torch.float32, torch.bfloat16)
ALONE = Fused(1)


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum. Matrices of one shape go through Newton-Schulz together.

    params: tensors of two dimensions, or three for stacks. Raises ValueError for any other, and
        for a setting out of range.
    momentum: mu. nesterov: use G + mu M in place of M, as in Moonlight's code but not in the
        report's listing.
    ns_steps, coefficients, ns_dtype: see `orthogonalize`. momentum_dtype: of the stored momentum,
        float32 or bfloat16; it is updated in float32.
    fused: where the matrices are in a parameter that holds several.
    copies: for a parameter that several ranks hold, with the same gradient, their process group:
        they divide its work. Each of these ranks must take every step.
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
        self.copies = Copies(copies or {})
        self.fused = dict(fused or {})
        self.matrices: dict[Tensor, list[Matrices]] = {}
        super().__init__(params, defaults)

    def __getstate__(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("copies", "fused", "matrices")}
        return super().__getstate__() | own

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as in torch. Raises ValueError for a tensor that Muon cannot update."""
        super().add_param_group(param_group)
        self.place(self.param_groups[-1]["params"])

    def place(self, parameters: Iterable[Tensor]) -> None:
        """Find the matrices in each of `parameters`, as `fused` says they are placed.

        parameters: [out, in] or [experts, out, in]. Raises ValueError for a tensor that Muon cannot
        update.
        """
        for parameter in parameters:
            if parameter.ndim not in (2, 3):
                raise ValueError(
                    f"Muon takes matrices or stacks, not shape {tuple(parameter.shape)}: "
                    "give this tensor to AdamW"
                )
            splitting(parameter)  # raises for a tensor that is sharded otherwise than by rows
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
        self.update()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """As torch's; it also counts the parameters without state, see `saved_state`."""
        return pack(self, super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned; state keeps the dtype in which it was saved.

        Raises ValueError if it is another network's, or incomplete; then nothing has changed.
        """
        load_checked(self, state_dict)

    @torch.no_grad()
    def update(self) -> None:
        """What `step` does, without hooks."""
        for group in self.param_groups:
            indices = {p: i for i, p in enumerate(group["params"]) if p.grad is not None}
            settings = MuonSettings(**{name: group[name] for name in MuonSettings.__annotations__})
            for exchange, parameters in self.by_exchange(indices).items():
                stacks = [s for p in parameters for s in self.stacks(p, group, indices[p])]
                if exchange is None:
                    update_here(stacks, settings)
                else:
                    jobs = divide_work(self.matrices_of(parameters), exchange.group.size())
                    update_together(stacks, jobs, exchange, settings)

    def ranks(self) -> dict[Tensor, str]:
        """Which ranks orthogonalise each parameter's matrices, as text; absent: this rank alone.

        Keys are the parameters themselves, [out, in] or [experts, out, in].
        """
        said: dict[Tensor, str] = {}
        for group in self.param_groups:
            for exchange, parameters in self.by_exchange(group["params"]).items():
                if exchange is None:
                    said |= {p: "each its own" for p in parameters if is_sharded(p)}
                    continue
                ranks = dist.get_process_group_ranks(exchange.group)
                whose = [p for p in parameters for _ in self.matrices[p]]
                owners: dict[Tensor, set[int]] = defaultdict(set)
                for job in divide_work(self.matrices_of(parameters), len(ranks)):
                    owners[whose[job.stack]].add(ranks[job.owner])
                said |= {p: describe_ranks(sorted(ranks)) for p, ranks in owners.items()}
        return said

    def by_exchange(self, parameters: Iterable[Tensor]) -> dict[Exchange | None, list[Tensor]]:
        """Parameters by the exchange that they need; None: whole here, and only here.

        parameters: [out, in] or [experts, out, in].
        """
        sorted_out: dict[Exchange | None, list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            sorted_out[self.exchange(parameter)].append(parameter)
        return sorted_out

    def exchange(self, parameter: Tensor) -> Exchange | None:
        """The exchange that the matrices of a parameter [out, in] or [experts, out, in] need."""
        split = splitting(parameter)
        if split is not None:
            return RowShards(split[0]) if parameter.ndim == 2 else None
        group = self.copies.get(parameter)
        return Replicas(group) if group is not None and group.size() > 1 else None

    def matrices_of(self, parameters: Iterable[Tensor]) -> tuple[Matrices, ...]:
        """All matrices of these parameters, in the order of `stacks`.

        parameters: [out, in] or [experts, out, in].
        """
        return tuple(matrices for p in parameters for matrices in self.matrices[p])

    def stacks(self, parameter: Tensor, group: dict[str, Any], index: int) -> list[Stack]:
        """The part of a parameter that this process holds, as stacks of matrices; views.

        parameter: [out, in] or [experts, out, in]; a stack's tensors are [count, rows, columns].
        """
        if parameter not in self.matrices:
            raise ValueError(
                f"a parameter {list(parameter.shape)} replaced one that the optimizer was made "
                "with: shard and move the network first, then make the optimizer"
            )
        state = self.state[parameter]
        if not state:
            state |= new_muon_state(parameter, group["momentum_dtype"])
        held = range(parameter.shape[1]) if parameter.ndim == 3 else local_rows(parameter)
        noise = None
        if is_narrow(parameter):
            step = state.setdefault("step", torch.zeros(()))
            step += 1
            first = local_rows(parameter).start
            noise = rounding_noise(parameter.device, int(step), index, first)
        parts = local(parameter.detach()), local_gradient(parameter), local(state["momentum"])
        tensors = [tensor if tensor.ndim == 3 else tensor[None] for tensor in parts]
        return [
            Stack(
                (each.rows_in(held), each.columns),
                *(each.view(t, held) for t in tensors),
                noise=noise,
            )
            for each in self.matrices[parameter]
        ]


def new_muon_state(parameter: Tensor, momentum_dtype: torch.dtype) -> dict[str, Tensor]:
    """Zeros for a parameter's momentum and, if it is of 16 bits, its count of steps, on the CPU.

    The momentum has the parameter's shape, the count has none, [].
    """
    state = {"momentum": torch.zeros_like(parameter, dtype=momentum_dtype)}
    return state | ({"step": torch.zeros(())} if is_narrow(parameter) else {})


def describe_ranks(ranks: list[int]) -> str:
    """Sorted rank numbers, as a table shows them."""
    if len(ranks) == 1:
        return f"rank {ranks[0]}"
    apart = ranks[1] - ranks[0]
    even = all(b - a == apart for a, b in itertools.pairwise(ranks))
    if even and len(ranks) > 2:
        return f"ranks {ranks[0]} to {ranks[-1]}" + (f" by {apart}" if apart > 1 else "")
    return "ranks " + ", ".join(map(str, ranks))
