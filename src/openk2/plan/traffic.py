"""The bytes that a rank sends in a step, by purpose, in the dtypes that are really sent.

The first three are sent with every micro-batch and can overlap with its computation; the others are
sent once, around the optimizer's step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from openk2.architecture import ModelConfig
from openk2.parallel import Layout
from openk2.plan.machine import NOTHING, Machine, Message, Ranks, in_ring, to_all
from openk2.plan.states import BYTES, FLOAT32, HeldParameter
from openk2.train import Memory


@dataclass(frozen=True)
class Micro:
    """A micro-batch, as messages see it.

    hidden_bytes: of one number of the hidden states. product_bytes: of one that goes to an expert.
    """

    tokens: int
    hidden_bytes: int
    product_bytes: int


@dataclass(frozen=True)
class Traffic:
    """Of one rank. experts, pipeline, offload: a micro-batch. gradients, weights, muon: a step.

    experts: rows to their experts and back, in both passes. pipeline: hidden states to the next
    rank, their gradients to the one before. offload: to the host and back, counted one way.
    gradients: their sums. weights: shards brought together. muon: rows of matrices to the rank
    that orthogonalises them, and the results back.
    """

    experts: Message
    pipeline: Message
    offload: Message
    gradients: Message
    weights: Message
    muon: Message

    @property
    def at_the_end(self) -> Message:
        """Everything that is sent once a step."""
        return self.gradients + self.weights + self.muon


def expert_traffic(
    config: ModelConfig, layout: Layout, moe_layers: int, micro: Micro, machine: Machine
) -> Message:
    """Of a micro-batch: each token's row once for every chosen expert, four ways a layer."""
    size = micro.tokens * config.num_experts_per_tok * config.hidden_size * micro.product_bytes
    once = to_all(size, Ranks(layout.expert), machine)
    return once.times(4 * moe_layers)


def pipeline_traffic(
    config: ModelConfig, borders: int, data: int, micro: Micro, machine: Machine
) -> Message:
    """Of a micro-batch: hidden states over `borders` between ranks, in either direction."""
    size = float(borders * micro.tokens * config.hidden_size * micro.hidden_bytes)
    rate = machine.nvlink if data < machine.node else machine.network
    return Message(size, size / rate)


def update_traffic(
    held: Sequence[HeldParameter],
    zero: int,
    memory: Memory,
    machine: Machine,
    *,
    micro_batches: int,
    direction_bytes: int = 2,
) -> tuple[Message, Message, Message]:
    """Of a step: gradients, weights, muon.

    zero 0: gradients are summed where they are. 1: summed into shards once, and the weights
    brought together once. 3: both for every micro-batch, the weights twice.
    direction_bytes: of a number that goes to be orthogonalised.
    """
    gradients = weights = muon = NOTHING
    for parameter in held:
        ranks = Ranks(parameter.copies, parameter.apart)
        numbers = parameter.numbers
        sums = in_ring(
            float((BYTES[memory.gradients] if zero else FLOAT32) * numbers), ranks, machine
        )
        whole = in_ring(float(BYTES[memory.parameters] * numbers), ranks, machine)
        if zero == 0:
            gradients += sums.times(2)
            muon += in_ring(float(direction_bytes * numbers * parameter.muon), ranks, machine)
            continue
        often = micro_batches if zero == 3 else 1
        gradients += sums.times(often)
        weights += whole.times(2 * often if zero == 3 else 1)
        if parameter.muon and len(parameter.shape) == 2:
            muon += to_all(float(direction_bytes * parameter.shard), ranks, machine).times(2)
    return gradients, weights, muon
