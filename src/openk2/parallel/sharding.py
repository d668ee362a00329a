"""Shard a network over a fleet by its layout, from outside: the network's code does not change.

Report 2.4. Experts: each rank keeps its part of every stack, as an ordinary parameter, and receives
rows by all-to-all. ZeRO: `fully_shard` keeps a part of each tensor's rows on each rank and gathers
them for the passes. docs/design/parallel.md says what is held when.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from openk2.model import Experts, K2Model
from openk2.optim import local, local_rows
from openk2.parallel.dispatch import AllToAll
from openk2.parallel.fleet import Fleet

if TYPE_CHECKING:
    from torch.distributed.fsdp import FSDPModule


@dataclass(frozen=True)
class HeldRows:
    """A rank's rows [first : first + len(rows)] of a tensor that has `total` in the network."""

    name: str
    rows: Tensor
    first: int
    total: int


@dataclass(frozen=True)
class Sharding:
    """The part of a network that this rank holds, and the fleet that holds all of it."""

    model: K2Model
    fleet: Fleet

    @property
    def zero(self) -> bool:
        """Whether parameters are sharded outside of the passes."""
        return self.fleet.layout.zero > 0

    def stacks(self) -> set[str]:
        """The names of the routed experts' parameters."""
        return {
            f"{prefix}.{name}"
            for prefix, module in self.model.named_modules()
            if isinstance(module, Experts)
            for name, _ in module.named_parameters()
        }

    def copies(self) -> dict[str, dist.ProcessGroup]:
        """For each parameter that other ranks hold a copy of, their process group."""
        if self.fleet.mesh is None or self.zero:
            return {}
        data, copy = self.fleet.group("data"), self.fleet.group("copy")
        stacks = self.stacks()
        return {n: copy if n in stacks else data for n, _ in self.model.named_parameters()}

    def add_gradients(self) -> None:
        """Sum every gradient over the ranks that hold its parameter, in a message a group.

        `fully_shard` has done it already. A parameter without a gradient counts as zeros, so that
        all ranks send the same.
        """
        held: dict[dist.ProcessGroup, list[nn.Parameter]] = {}
        named = dict(self.model.named_parameters())
        for name, group in self.copies().items():
            if group.size() > 1 and named[name].requires_grad:
                held.setdefault(group, []).append(named[name])
        for group, parameters in held.items():
            add_together(parameters, group)

    def passing(self, last: bool) -> None:
        """Announce the next forward and backward pass, and whether they are the step's last.

        Under zero 1 tensors stay gathered until the last, and gradients are reduced once.
        """
        if self.fleet.layout.zero != 1:
            return
        for module in sharded_modules(self.model):
            module.set_requires_gradient_sync(last, recurse=False)
            module.set_reshard_after_backward(last, recurse=False)

    def held(self) -> Iterator[HeldRows]:
        """The rows held here of each parameter and buffer."""
        stacks, expert = self.stacks(), self.fleet.layout.expert
        for name, tensor in (*self.model.named_parameters(), *self.model.named_buffers()):
            first, total = local_rows(tensor).start, tensor.shape[0]
            if name in stacks:
                first, total = first + self.fleet.expert_rank * total, total * expert
            yield HeldRows(name, local(tensor), first, total)

    def whole(self, name: str, part: Tensor) -> Tensor:
        """`part`, which belongs to parameter `name`, as a part of the network's whole tensor.

        name: a parameter's, or of optimizer state that has its parameter's shape.
        """
        layout, mesh = self.fleet.layout, self.fleet.mesh
        if mesh is None or layout.expert == 1 or name not in self.stacks():
            return part
        from torch.distributed.tensor import DTensor, Replicate, Shard

        size = torch.Size((part.shape[0] * layout.expert, *part.shape[1:]))
        return DTensor.from_local(
            local(part),
            mesh["expert", "copy"],
            [Shard(0), Shard(0) if self.zero else Replicate()],
            run_check=False,
            shape=size,
            stride=torch.empty(size, device="meta").stride(),
        )


def shard(
    model: K2Model,
    fleet: Fleet,
    parameters: torch.dtype = torch.float32,
    gradients: torch.dtype = torch.float32,
) -> Sharding:
    """Keep this rank's part of `model`, in place; every rank passes the same model, or one on meta.

    Under zero 1 and 3 `parameters` is the dtype that is gathered for the passes, and `gradients`
    the dtype in which gradients are summed; what a rank keeps is float32.
    """
    layout, mesh = fleet.layout, fleet.mesh
    if mesh is None:
        return Sharding(model, fleet)
    if layout.expert > 1:
        for module in model.modules():
            if isinstance(module, Experts):
                keep_experts(module, fleet)
    if layout.zero:
        shard_rows(model, fleet, parameters, gradients)
    return Sharding(model, fleet)


def shard_rows(
    model: K2Model, fleet: Fleet, parameters: torch.dtype, gradients: torch.dtype
) -> None:
    """`fully_shard`, unit by unit."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    assert fleet.mesh is not None
    policy = MixedPrecisionPolicy(
        param_dtype=parameters, reduce_dtype=gradients, cast_forward_inputs=False
    )
    for module in units(model, fleet.layout.pipeline == 1):
        fully_shard(
            module,
            mesh=fleet.mesh["copy"] if isinstance(module, Experts) else fleet.data_mesh,
            reshard_after_forward=fleet.layout.zero == 3,
            mp_policy=policy,
        )
    for sharded in sharded_modules(model):
        # The loss is a sum over the whole batch: gradients are added, not averaged.
        sharded.set_force_sum_reduction_for_comms(True)
        sharded.set_gradient_divide_factor(1.0)


def keep_experts(experts: Experts, fleet: Fleet) -> None:
    """Keep this rank's experts, and dispatch rows to it."""
    count = experts.count // fleet.layout.expert
    first = fleet.expert_rank * count
    for name, stack in list(experts.named_parameters()):
        part = stack.detach()[first : first + count].clone()
        setattr(experts, name, nn.Parameter(part, requires_grad=stack.requires_grad))
    experts.dispatch = AllToAll(fleet.group("expert"))


def units(model: K2Model, whole: bool) -> Iterator[nn.Module]:
    """The modules whose tensors are gathered together, inner ones first.

    whole: whether the model runs as one module; in a pipeline its layers run by themselves.
    """
    for module in model.modules():
        if isinstance(module, Experts):
            yield module
    yield from model.decoder_layers
    parts = model.model.embed_tokens, model.model.norm, model.lm_head
    yield from (part for part in parts if any(True for _ in part.parameters()))
    if whole:
        yield model


def sharded_modules(model: nn.Module) -> "Iterator[FSDPModule]":
    """The modules that `fully_shard` was called on."""
    from torch.distributed.fsdp import FSDPModule

    return (module for module in model.modules() if isinstance(module, FSDPModule))


def add_together(parameters: list[nn.Parameter], group: dist.ProcessGroup) -> None:
    """Replace gradients by their sums over `group`, in one message."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    dist.all_reduce(flat, group=group)
    pieces = flat.split([parameter.numel() for parameter in parameters])
    for parameter, piece in zip(parameters, pieces, strict=True):
        parameter.grad = piece.view_as(parameter)
