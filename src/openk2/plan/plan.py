"""What a plan says: bytes and seconds of each pipeline rank, and the time of a step."""

from dataclasses import dataclass

from openk2.architecture import ModelConfig, training_flops
from openk2.parallel import bubble_fraction
from openk2.plan.machine import Machine
from openk2.plan.states import States
from openk2.plan.traffic import (
    Traffic,
)
from openk2.train import Recipe


@dataclass(frozen=True)
class RankPlan:
    """One pipeline rank; its data ranks are alike, and where they are not this is the largest.

    numbers: parameters that it holds in its passes. in_flight: forward passes of each of its parts
    that wait when most is kept. activations, on_host: bytes kept then, by part of the network.
    working: see `Kept`. compute: seconds of a micro-batch. newton_schulz: seconds of a step.
    """

    rank: int
    layers: int
    numbers: int
    states: States
    in_flight: tuple[int, ...]
    activations: dict[str, int]
    on_host: dict[str, int]
    working: int
    traffic: Traffic
    compute: float
    newton_schulz: float

    @property
    def device(self) -> int:
        """Bytes on the device at the worst moment of the passes."""
        return self.states.total + sum(self.activations.values()) + self.working


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step. exposed: what the slowest rank spends on messages beside computing.

    bubble: the share of the step, without its end, in which a rank waits for others.
    """

    passes: float
    bubble: float
    end: float

    @property
    def total(self) -> float:
        """The whole step."""
        return self.passes + self.end


@dataclass(frozen=True)
class Plan:
    """A recipe on `gpus`.

    data: data ranks. length: tokens a row. micro_batches: of a data rank in a step. fused: see
    `Planner`. ranks: the pipeline's.
    """

    gpus: int
    data: int
    config: ModelConfig
    recipe: Recipe
    length: int
    micro_batches: int
    machine: Machine
    fused: bool
    ranks: tuple[RankPlan, ...]

    @property
    def tokens(self) -> int:
        """Of a step."""
        return self.recipe.rows * self.length

    @property
    def flops_a_token(self) -> float:
        """Of a forward and a backward pass, without what is recomputed."""
        return training_flops(self.config, self.length)

    def mfu(self, step: "StepTime") -> float:
        """Model FLOPs utilization: what the tokens need over what all GPUs could do at best."""
        needed = self.tokens * self.flops_a_token
        return needed / (step.total * self.gpus * self.machine.flops)

    @property
    def device(self) -> int:
        """Bytes on the GPU of the largest rank."""
        return max(rank.device for rank in self.ranks)

    @property
    def on_host(self) -> int:
        """Bytes that the ranks of one node keep in its host's memory, at most."""
        largest = max(sum(rank.on_host.values()) for rank in self.ranks)
        return largest * min(self.gpus, self.machine.node)

    @property
    def fits(self) -> bool:
        """Whether the machine's memory holds it."""
        return self.device <= self.machine.memory and self.on_host <= self.machine.ram

    def step(self, *, overlap: bool) -> StepTime:
        """How long a step takes.

        Without overlap a micro-batch computes, sends and waits in turn. With it experts' rows and
        hidden states share one way, offloading has another, and the slowest of the three decides.
        The end (gradients, Newton-Schulz, weights) overlaps with nothing either way.
        """
        layout = self.recipe.layout
        bubble = bubble_fraction(layout.pipeline, layout.virtual, self.micro_batches)
        slowest = max(micro_batch_seconds(rank, overlap=overlap) for rank in self.ranks)
        end = max(rank.newton_schulz + rank.traffic.at_the_end.seconds for rank in self.ranks)
        return StepTime(slowest * self.micro_batches / (1 - bubble), bubble, end)


def micro_batch_seconds(rank: RankPlan, *, overlap: bool) -> float:
    """A forward and a backward pass of a rank's parts."""
    traffic = rank.traffic
    sent = traffic.experts.seconds + traffic.pipeline.seconds
    if overlap:
        return max(rank.compute, sent, traffic.offload.seconds)
    return rank.compute + sent + 2 * traffic.offload.seconds
