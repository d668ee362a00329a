"""What a plan says: bytes and seconds of each pipeline rank, and the time of a step."""

from dataclasses import dataclass

from openk2.architecture import ModelConfig
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
