"""MuonClip: Muon for hidden matrices, AdamW for the rest, QK-Clip after the step (report 2.1)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.gradient_norm import clip_gradients
from openk2.optim.muon import Muon
from openk2.optim.newton_schulz import QUINTIC, Coefficients
from openk2.optim.owners import EMBEDDING_AND_HEAD, FusedNames, assign_owners, is_vector
from openk2.optim.qk_clip import Heads, qk_clip
from openk2.optim.shards import is_sharded


class MuonClip:
    """Algorithm 1 of the report over named parameters; `owners` says who updates which tensor.

    One lr serves both optimizers: Muon's update is scaled to AdamW's root mean square. Weight decay
    is decoupled and applies to matrices only, as in the report; norm weights do not decay.

    adamw: shell patterns for matrices that are not hidden: the embedding and the head.
    fused: shell patterns for tensors that hold several matrices, and how many:
        {"*.gate_up_proj": 2}; or the rows of each: {"*.qkv_proj.weight": (4096, 1024, 1024)}; or a
        `Fused`. Muon updates each matrix by itself; the state keeps the tensor's shape. A tensor
        whose name looks fused (`gate_up`, `qkv`) must be listed; use 1 for a single matrix.
    partial: the parameters are a part of a network, one pipeline rank's; see `assign_owners`.
    ns_steps, coefficients, ns_dtype, momentum_dtype: see `Muon`.
    adamw_matrix_rate: AdamW's matrices, the embedding and the head, use lr times this.
    copies: the ranks that hold the same copy of a parameter, by its name, or of all parameters that
        are not sharded; the gradient must be the same on all of them. Parameters sharded by
        `fully_shard` need no entry.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        *,
        adamw: Sequence[str] = EMBEDDING_AND_HEAD,
        fused: FusedNames | None = None,
        partial: bool = False,
        lr: float = 2e-4,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = False,
        betas: tuple[float, float] = (0.9, 0.95),
        tau: float = 100.0,
        adamw_matrix_rate: float = 1.0,
        ns_steps: int = 5,
        coefficients: Coefficients = QUINTIC,
        ns_dtype: torch.dtype = torch.bfloat16,
        momentum_dtype: torch.dtype = torch.float32,
        copies: dist.ProcessGroup | Mapping[str, dist.ProcessGroup] | None = None,
    ) -> None:
        if not tau > 0:
            raise ValueError(f"tau is {tau}: it must be above 0")
        if not 0 < adamw_matrix_rate < math.inf:
            raise ValueError(f"adamw_matrix_rate is {adamw_matrix_rate}: it must be above 0")
        named = dict(named_parameters)
        self.owners = assign_owners(named.items(), adamw, fused, partial=partial)
        self.tau = tau
        if isinstance(copies, dist.ProcessGroup):
            copies = dict.fromkeys(named, copies)
        self.copies = {named[n]: group for n, group in (copies or {}).items() if n in named}
        hidden = [named[o.name] for o in self.owners if o.owner == "muon"]
        rest = [o.name for o in self.owners if o.owner == "adamw"]
        matrices = [named[name] for name in rest if not is_vector(name, named[name])]
        vectors = [named[name] for name in rest if is_vector(name, named[name])]
        self.muon = Muon(
            [{"params": hidden}],  # empty where a pipeline's last rank holds the head alone
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
            ns_steps=ns_steps,
            coefficients=coefficients,
            ns_dtype=ns_dtype,
            momentum_dtype=momentum_dtype,
            fused={named[o.name]: o.fused for o in self.owners if o.fused is not None},
            copies=self.copies,
        )
        ranks = self.muon.ranks()
        self.owners = [replace(o, ranks=ranks.get(named[o.name], "")) for o in self.owners]
        self.adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=lr,
            betas=betas,
            fused=True,
        )
        self.named = named
        self.adamw_matrix_rate = adamw_matrix_rate
        self.set_lr(lr)

    def set_lr(self, lr: float) -> None:
        """Use `lr` from the next step on."""
        for group in (*self.muon.param_groups, *self.adamw.param_groups):
            group["lr"] = lr
        self.adamw.param_groups[0]["lr"] = lr * self.adamw_matrix_rate

    def clip_gradients(self, limit: float, group: dist.ProcessGroup | None = None) -> Tensor:
        """Scale all gradients so that their norm is at most `limit`; return the norm before, [].

        group: every rank that holds a part of the model; None: it is all here. See
        `clip_gradients`.
        """

        def copies(parameter: Tensor) -> int:
            held = self.copies.get(parameter)
            return 1 if held is None or is_sharded(parameter) else held.size()

        return clip_gradients(self.named.values(), limit, group=group, copies=copies)

    def step(self) -> None:
        """Update every parameter that has a gradient (algorithm 1, lines 3-7, and AdamW)."""
        self.muon.step()
        self.adamw.step()

    def clip(self, layers: Sequence[Heads], max_logits: Tensor) -> Tensor:
        """QK-Clip with this optimizer's tau (algorithm 1, lines 9-17), after `step`.

        max_logits: [layers, heads]. Returns which heads were clipped, bool [layers, heads]; see
        `qk_clip`.
        """
        return qk_clip(layers, max_logits, self.tau)

    def zero_grad(self) -> None:
        """Drop every gradient."""
        self.muon.zero_grad(set_to_none=True)
        self.adamw.zero_grad(set_to_none=True)

    def allocate_state(self) -> None:
        """Allocate missing state as zeros, for a resume to fill."""
        for optimizer, names in (
            (self.muon, {"momentum": self.muon.defaults["momentum_dtype"]}),
            (self.adamw, {"exp_avg": None, "exp_avg_sq": None}),
        ):
            for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                state = optimizer.state[parameter]
                for name, dtype in names.items():
                    state.setdefault(name, torch.zeros_like(parameter, dtype=dtype))
                if optimizer is self.adamw:
                    state.setdefault("step", torch.zeros((), device=parameter.device))

    def state_tensors(self) -> dict[str, Tensor]:
        """Every state tensor as `{parameter name}.{state name}`: all that a resume needs."""
        states: dict[Tensor, dict[str, Any]] = {**self.muon.state, **self.adamw.state}
        return {
            f"{name}.{key}": value
            for name, parameter in self.named.items()
            for key, value in states.get(parameter, {}).items()
        }

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_tensors` returned. Raises KeyError for an unknown parameter."""
        owner = {o.name: o.owner for o in self.owners}
        for key, value in tensors.items():
            name, _, state = key.rpartition(".")
            parameter = self.named[name]
            optimizer = self.muon if owner[name] == "muon" else self.adamw
            optimizer.state[parameter][state] = value.to(parameter.device, copy=True)
