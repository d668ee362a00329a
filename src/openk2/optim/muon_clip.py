"""MuonClip: Muon for hidden matrices, AdamW for the rest, QK-Clip after the step (report 2.1)."""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.adamw import adamw_update, new_adamw_state
from openk2.optim.copies import Copies, copies_of
from openk2.optim.gradient_norm import clip_gradients
from openk2.optim.muon import Muon, new_muon_state
from openk2.optim.names import plain_names, with_names
from openk2.optim.newton_schulz import QUINTIC, Coefficients
from openk2.optim.owners import (
    EMBEDDING_AND_HEAD,
    FusedNames,
    Ownership,
    assign_owners,
    is_vector,
)
from openk2.optim.qk_clip import Heads, check_held, qk_clip
from openk2.optim.saved_state import load_checked, pack
from openk2.optim.shards import is_sharded, replicas

Group = dict[str, Any]
KEPT = (
    "muon",
    "owners",
    "tau",
    "copies",
    "adamw",
    "fused",
    "partial",
    "adamw_matrix_rate",
    "calls",
)


class MuonClip(torch.optim.Optimizer):
    """Algorithm 1 of the report over named parameters; `owners` says who updates which tensor.

    One lr serves Muon and AdamW: Muon's update is scaled to AdamW's root mean square. Weight decay
    is decoupled and applies to matrices only, as in the report; norm weights do not decay.

    `param_groups` are "muon", "adamw matrices" and "adamw vectors", without those that would be
    empty. Every step reads their lr and weight_decay, Muon's momentum and nesterov, AdamW's betas
    and eps. Parameters of 16 bits are rounded stochastically. Names lose `module.` and
    `_orig_mod.`, see `plain_name`.

    adamw: shell patterns for matrices that are not hidden: the embedding and the head. Others whose
        name is an embedding's (`wte`, `wpe`) are AdamW's too, see `assign_owners`.
    fused: shell patterns for tensors that hold several matrices, and how many:
        {"*.gate_up_proj": 2}; or the rows of each: {"*.qkv_proj.weight": (4096, 1024, 1024)}; or a
        `Fused`. Muon updates each matrix by itself; the state keeps the tensor's shape. A tensor
        whose name looks fused (`gate_up`, `qkv`) must be listed; use 1 for a single matrix.
    partial: the parameters are a part of a network, such as one pipeline rank's; see
        `assign_owners` and `clip_gradients`.
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
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas is {betas}: each must be at least 0 and below 1")
        self.tau, self.adamw_matrix_rate = tau, adamw_matrix_rate
        self.adamw, self.fused, self.partial = tuple(adamw), dict(fused or {}), partial
        named = with_names(named_parameters, "use add_param_group for groups of parameters")
        self.calls = 0  # of add_param_group, the first from here
        self.copies = Copies(copies_of(named, copies))
        self.muon = Muon(
            [{"params": []}],
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
            ns_steps=ns_steps,
            coefficients=coefficients,
            ns_dtype=ns_dtype,
            momentum_dtype=momentum_dtype,
        )
        self.muon.copies = self.copies
        defaults = self.muon.defaults | {"betas": betas, "eps": 1e-8}
        self.owners = assign_owners(named, self.adamw, self.fused, partial=partial)
        super().__init__(self._by_owner(self.owners, {"params": named}), defaults)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {name: getattr(self, name) for name in KEPT}

    def _by_owner(self, owners: Sequence[Ownership], group: Group) -> Iterator[Group]:
        """The groups that update the parameters of `group`, as `owners` says."""
        named = {names[0]: p for p, names in plain_names(group["params"]).items()}
        self.muon.fused |= {named[o.name]: o.fused for o in owners if o.fused is not None}
        rest = {o.name: named[o.name] for o in owners if o.owner == "adamw"}
        vectors = {name: p for name, p in rest.items() if is_vector(name, p)}
        parts = {
            "muon": {o.name: named[o.name] for o in owners if o.owner == "muon"},
            "adamw matrices": {name: p for name, p in rest.items() if name not in vectors},
            "adamw vectors": vectors,
        }
        settings = {key: value for key, value in group.items() if key not in ("params", "name")}
        self.calls += 1
        prefix = group.get("name", f"group {self.calls}" if self.calls > 1 else "")
        for name, parameters in parts.items():
            # torch.distributed.checkpoint takes one empty group at most; some group there must be.
            if not parameters and (named or name != "muon"):
                continue
            yield {
                "params": list(parameters.values()),
                "param_names": list(parameters),
                "name": f"{prefix} {name}".strip(),
                "algorithm": name.split()[0],
                "lr_factor": self.adamw_matrix_rate if name == "adamw matrices" else 1.0,
                **settings,
                **({"weight_decay": 0.0} if name == "adamw vectors" else {}),
            }

    def add_param_group(self, param_group: Group) -> None:
        """Add named parameters, {"params": [(name, tensor), ...], "lr": ...}: up to three groups.

        Owners follow from the patterns that the optimizer was made with. Raises ValueError as
        `assign_owners` does, for a name that another parameter has and for a parameter that a group
        has, and TypeError for parameters without names; then nothing has changed.
        """
        if "algorithm" not in param_group:
            self._add_named(param_group)
            return
        own_rate = "lr" in param_group
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        # A product or a copy: a rate that is a tensor is each group's own, not the caller's.
        rate = group["lr"]
        group["lr"] = copy.deepcopy(rate) if own_rate else rate * group["lr_factor"]
        if group["algorithm"] == "muon":
            self.muon.place(group["params"])
        self._share()
        ranks = self.muon.ranks()
        pairs = zip(group["param_names"], group["params"], strict=True)
        said = {name: ranks.get(parameter, "") for name, parameter in pairs}
        self.owners = [replace(o, ranks=said.get(o.name, o.ranks)) for o in self.owners]

    def _add_named(self, param_group: Group) -> None:
        """Add the groups of named parameters, all or none."""
        named = with_names(param_group["params"], "here they stand in `params`")
        owners = assign_owners(named, self.adamw, self.fused, partial=True)
        held = self.named
        for parameter, (name, *_) in plain_names(named).items():
            if held.get(name, parameter) is not parameter:
                raise ValueError(
                    f"{name} is the name of another parameter: prefix the names of the group, as "
                    f"in 'second.{name}'"
                )
        before = len(self.param_groups), self.owners, self.calls, dict(self.muon.fused)
        self.owners = self.owners + owners
        try:
            for group in self._by_owner(owners, param_group | {"params": named}):
                self.add_param_group(group)
        except Exception:
            count, self.owners, self.calls, self.muon.fused = before
            del self.param_groups[count:]
            self._share()
            raise

    def _share(self) -> None:
        """Let Muon see its groups and the state, which a trainer may have replaced."""
        self.muon.param_groups = [g for g in self.param_groups if g["algorithm"] == "muon"]
        self.muon.state = self.state

    @property
    def named(self) -> dict[str, Tensor]:
        """Every parameter, of any shape, by its name."""
        held: dict[str, Tensor] = {}
        for group in self.param_groups:
            held |= zip(group["param_names"], group["params"], strict=True)
        return {owner.name: held[owner.name] for owner in self.owners}

    def set_lr(self, lr: float) -> None:
        """Use `lr` from the next step on, in each group times its `lr_factor`."""
        for group in self.param_groups:
            group["lr"] = lr * group["lr_factor"]

    def clip_gradients(self, limit: float, group: dist.ProcessGroup | None = None) -> Tensor:
        """Scale all gradients so that their norm is at most `limit`; return the norm before, [].

        group: every rank that holds a part of the model. A parameter that is not sharded is the
        same on each of these ranks, as under DistributedDataParallel, unless `copies` lists it or
        the optimizer is `partial`. None: sharded parameters count over their own mesh, all others
        are whole here. See `gradient_norm.clip_gradients`.
        """

        def copies(parameter: Tensor) -> int:
            if group is None:
                return 1
            if is_sharded(parameter):
                return replicas(parameter)
            held = self.copies.get(parameter)
            if held is None:
                return 1 if self.partial else group.size()
            return held.size()

        return clip_gradients(self.named.values(), limit, group=group, copies=copies)

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update every parameter that has a gradient (algorithm 1, lines 3-7, and AdamW).

        closure: computes the loss and gradients first, as in torch; its result is returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._share()
        self.muon.update()
        for group in self.param_groups:
            if group["algorithm"] == "adamw":
                adamw_update(group, self.state)
        return loss

    def clip(self, layers: Sequence[Heads], max_logits: Tensor) -> Tensor:
        """QK-Clip with this optimizer's tau (algorithm 1, lines 9-17), after `step`.

        max_logits: [layers, heads]. Returns which heads were clipped, bool [layers, heads]; see
        `qk_clip`. Raises ValueError, before anything is clipped, for heads of a tensor that is none
        of the optimizer's parameters and no view of one; frozen ones may be clipped.
        """
        check_held(layers, self.named.values())
        return qk_clip(layers, max_logits, self.tau)

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with names, for `torch.save` and `torch.load(weights_only=True)`."""
        return pack(self, super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned, by name; state keeps the dtype it was saved in.

        Raises ValueError if names, shapes or entries differ; then nothing has changed.
        """
        load_checked(self, state_dict)

    def allocate_state(self) -> None:
        """Allocate missing state as zeros, except that of frozen parameters (no `requires_grad`).

        Before a save by `state_tensors`, and again for a resume to fill: both then have the same
        tensors, also for a parameter that has had no gradient. Zeros change no later step.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if not parameter.requires_grad:
                    continue
                new = (
                    new_muon_state(parameter, group["momentum_dtype"])
                    if group["algorithm"] == "muon"
                    else new_adamw_state(parameter)
                )
                self.state[parameter] = new | self.state[parameter]

    def state_tensors(self) -> dict[str, Tensor]:
        """Every state tensor as `{parameter name}.{state name}`: all that a resume needs.

        Momenta and moments have their parameter's shape, counts of steps none, [].
        """
        return {
            f"{name}.{key}": value
            for name, parameter in self.named.items()
            for key, value in self.state.get(parameter, {}).items()
        }
