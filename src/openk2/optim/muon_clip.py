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
from openk2.optim.owners import FusedNames, assign_owners, is_vector
from openk2.optim.qk_clip import Heads, qk_clip
from openk2.optim.shards import is_sharded


class MuonClip:
    """One optimizer over named parameters; `owners` says which tensor belongs to whom.

    lr is shared: Muon's update is scaled to AdamW's root mean square. Weight decay is decoupled and
    touches matrices only, as in the report; norm weights do not decay.

    adamw: shell patterns for matrices that are not hidden: the embedding and the head.
    fused: shell patterns for tensors that hold several matrices, and how many those are, as in
        {"*.gate_up_proj": 2}; or the rows of each, {"*.qkv_proj.weight": (4096, 1024, 1024)}; or a
        `Fused`. Muon takes each for itself; the state keeps the tensor's shape. A tensor whose name
        says that it is fused must be spoken of; 1 says that it is not.
    ns_steps, coefficients, ns_dtype, momentum_dtype: see `Muon`.
    adamw_matrix_rate: AdamW's matrices, the embedding and the head, learn at this share of lr.
    copies: the ranks that hold a parameter alike, by its name, or of all that are not sharded; its
        gradient must be the same on all of them. Sharded parameters (`fully_shard`) say it
        themselves.
    """

    def __init__(
        self,
        named_parameters: Iterable[tuple[str, Tensor]],
        *,
        adamw: Sequence[str] = ("*embed_tokens*", "lm_head*"),
        fused: FusedNames | None = None,
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
        self.owners = assign_owners(named.items(), adamw, fused)
        self.tau = tau
        if isinstance(copies, dist.ProcessGroup):
            copies = dict.fromkeys(named, copies)
        self.copies = {named[n]: group for n, group in (copies or {}).items() if n in named}
        hidden = [named[o.name] for o in self.owners if o.owner == "muon"]
        rest = [o.name for o in self.owners if o.owner == "adamw"]
        matrices = [named[name] for name in rest if not is_vector(name, named[name])]
        vectors = [named[name] for name in rest if is_vector(name, named[name])]
        self.muon = Muon(
            [{"params": hidden}],  # none, where a pipeline's last rank holds the head alone
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
        """Limit the norm of all gradients together; return it as it was. See `clip_gradients`.

        group: every rank that holds a part of the model; None: it is all here.
        """

        def copies(parameter: Tensor) -> int:
            held = self.copies.get(parameter)
            return 1 if held is None or is_sharded(parameter) else held.size()

        return clip_gradients(self.named.values(), limit, group=group, copies=copies)

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        self.muon.step()
        self.adamw.step()

    def clip(self, layers: Sequence[Heads], max_logits: Tensor) -> Tensor:
        """QK-Clip with this optimizer's tau; see `qk_clip`."""
        return qk_clip(layers, max_logits, self.tau)

    def zero_grad(self) -> None:
        """Drop every gradient."""
        self.muon.zero_grad(set_to_none=True)
        self.adamw.zero_grad(set_to_none=True)

    def allocate_state(self) -> None:
        """Make the state that steps make, all zeros, where there is none: for a resume to fill."""
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
        """Every state tensor under `{parameter name}.{state name}`: all that a resume needs."""
        states: dict[Tensor, dict[str, Any]] = {**self.muon.state, **self.adamw.state}
        return {
            f"{name}.{key}": value
            for name, parameter in self.named.items()
            for key, value in states.get(parameter, {}).items()
        }

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `state_tensors` gave. Raises KeyError naming a tensor of no parameter."""
        owner = {o.name: o.owner for o in self.owners}
        for key, value in tensors.items():
            name, _, state = key.rpartition(".")
            parameter = self.named[name]
            optimizer = self.muon if owner[name] == "muon" else self.adamw
            optimizer.state[parameter][state] = value.to(parameter.device, copy=True)
