"""MuonClip: Muon for hidden matrices, AdamW for the rest, QK-Clip after the step (report 2.1)."""

import fnmatch
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.gradient_norm import clip_gradients
from openk2.optim.muon import Muon
from openk2.optim.newton_schulz import QUINTIC, Coefficients
from openk2.optim.qk_clip import Heads, qk_clip
from openk2.optim.shards import is_sharded


@dataclass(frozen=True)
class Ownership:
    """Which optimizer updates a tensor, and why. ranks: which ranks orthogonalise its matrices."""

    name: str
    shape: tuple[int, ...]
    owner: Literal["muon", "adamw"]
    reason: str
    ranks: str = ""


def assign_owners(
    named_parameters: Iterable[tuple[str, Tensor]], adamw: Sequence[str]
) -> list[Ownership]:
    """Give vectors and names matching a pattern of `adamw` to AdamW, every other matrix to Muon.

    adamw: shell patterns for matrices that are not hidden: the embedding and the head. Raises
    ValueError if a pattern matches nothing, since a matrix then silently got the wrong optimizer.
    """
    owners = []
    unused = set(adamw)
    for name, parameter in named_parameters:
        matches = [pattern for pattern in adamw if fnmatch.fnmatchcase(name, pattern)]
        unused.difference_update(matches)
        shape = tuple(parameter.shape)
        if parameter.ndim < 2:
            owners.append(Ownership(name, shape, "adamw", "not a matrix"))
        elif matches:
            owners.append(Ownership(name, shape, "adamw", f"named {matches[0]}"))
        else:
            kind = "hidden matrix" if parameter.ndim == 2 else f"stack of {shape[0]} matrices"
            owners.append(Ownership(name, shape, "muon", kind))
    if unused:
        raise ValueError(f"no parameter matches the AdamW pattern {sorted(unused)[0]!r}")
    return owners


class MuonClip:
    """One optimizer over named parameters; `owners` says which tensor belongs to whom.

    lr is shared: Muon's update is scaled to AdamW's root mean square. Weight decay is decoupled and
    touches matrices only, as in the report; norm weights do not decay.

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
        self.owners = assign_owners(named.items(), adamw)
        self.tau = tau
        if isinstance(copies, dist.ProcessGroup):
            copies = dict.fromkeys(named, copies)
        self.copies = {named[n]: group for n, group in (copies or {}).items() if n in named}
        hidden = [named[o.name] for o in self.owners if o.owner == "muon"]
        matrices = [named[o.name] for o in self.owners if o.owner == "adamw" and len(o.shape) > 1]
        vectors = [named[o.name] for o in self.owners if o.owner == "adamw" and len(o.shape) < 2]
        self.muon = Muon(
            hidden,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
            ns_steps=ns_steps,
            coefficients=coefficients,
            ns_dtype=ns_dtype,
            momentum_dtype=momentum_dtype,
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
