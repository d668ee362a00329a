"""Bytes of parameters, gradients and optimizer state that a rank holds between passes (report 2.4).

From the tensors of the network itself, built on the meta device and cut as `parallel` cuts it, and
from the optimizer's own table of owners.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from openk2.architecture import ModelConfig
from openk2.model import Experts, K2Model
from openk2.optim import assign_owners
from openk2.parallel import Layout, Part, keep_parts
from openk2.train import Memory

FLOAT32 = 4
BYTES = {"float32": 4, "bfloat16": 2}


@dataclass(frozen=True)
class HeldParameter:
    """A parameter as one rank has it in the passes.

    copies: ranks that have the same numbers; their rank numbers are `apart` from each other.
    muon: whether it is Muon's; else it is AdamW's.
    """

    name: str
    shape: tuple[int, ...]
    copies: int
    apart: int
    muon: bool

    @property
    def numbers(self) -> int:
        """How many numbers it has."""
        return torch.Size(self.shape).numel()

    @property
    def shard(self) -> int:
        """Numbers of the largest of `copies` parts, as `fully_shard` cuts the first dimension."""
        return -(-self.shape[0] // self.copies) * (self.numbers // self.shape[0])


@dataclass(frozen=True)
class States:
    """Bytes on one rank.

    parameters: weights that the passes read. gradients: added up over a step. masters: float32
    weights beside bfloat16 ones, or shards of them. momentum: Muon's. moments: AdamW's two, with
    its counts of steps.
    """

    parameters: int
    gradients: int
    masters: int
    momentum: int
    moments: int

    @property
    def optimizer(self) -> int:
        """All that only the optimizer reads."""
        return self.masters + self.momentum + self.moments

    @property
    def total(self) -> int:
        """All of it."""
        return self.parameters + self.gradients + self.optimizer


def held_parameters(
    config: ModelConfig, layout: Layout, gpus: int, parts: Sequence[Part]
) -> list[HeldParameter]:
    """What a rank with these parts of the network holds, among `gpus`.

    Raises ValueError if the layout does not fit their number or the network.
    """
    data = layout.data(gpus)
    with torch.device("meta"):
        model = keep_parts(K2Model(config), parts)
    named = dict(model.named_parameters())
    stacks = {
        f"{prefix}.{name}"
        for prefix, module in model.named_modules()
        if isinstance(module, Experts)
        for name, _ in module.named_parameters()
    }
    held = []
    for owner in assign_owners(named.items(), partial=True):
        shape, apart = owner.shape, 1
        if owner.name in stacks:
            shape, apart = (shape[0] // layout.expert, *shape[1:]), layout.expert
        held.append(HeldParameter(owner.name, shape, data // apart, apart, owner.owner == "muon"))
    return held


def state_bytes(held: Sequence[HeldParameter], zero: int, memory: Memory) -> States:
    """What `held` costs in the passes.

    zero 0: all here; bfloat16 weights are a copy of float32 ones, whose gradients are float32 in
    the end. zero 1: weights and gradients whole, the optimizer's tensors in shards; those hold the
    weights too. zero 3: all in shards; layers that are whole for a while are working memory.
    """
    narrow = memory.parameters == "bfloat16"
    whole = sum(p.numbers for p in held)
    kept = {p: p.shard if zero else p.numbers for p in held}
    mine = sum(kept.values())
    momentum = FLOAT32 * sum(n for p, n in kept.items() if p.muon)
    moments = sum(2 * FLOAT32 * n + FLOAT32 for p, n in kept.items() if not p.muon)
    parameters, masters = BYTES[memory.parameters] * whole, FLOAT32 * mine
    if zero == 0:
        masters = masters if narrow else 0
        gradients = FLOAT32 * whole
    elif zero == 1:
        gradients = BYTES[memory.gradients] * whole
    else:
        parameters, masters, gradients = FLOAT32 * mine, 0, FLOAT32 * mine
    return States(parameters, gradients, masters, momentum, moments)
