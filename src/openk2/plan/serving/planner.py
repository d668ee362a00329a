"""Plans every layout of a served network on so many GPUs of one kind."""

from dataclasses import dataclass, field
from functools import cached_property

from openk2.plan.serving.formats import WeightFormat
from openk2.plan.serving.layout import (
    HeldWeights,
    ServingLayout,
    held_weights,
    layouts_of,
    refusals,
)
from openk2.plan.serving.machine import GIB, AchievedRates, EngineProfile, GpuModel, ServingNode
from openk2.plan.serving.memory import GpuMemory, gpu_memory
from openk2.plan.serving.network import ServedNetwork
from openk2.plan.serving.planned import PlannedLayout, price_of
from openk2.plan.serving.speed import LayoutSpeed, ServingRates, ServingWork
from openk2.plan.serving.weights import WeightPart


@dataclass(frozen=True)
class ServingDemand:
    """What must fit: requests of `context` tokens, `concurrency` of them at once.

    cache_number: bytes of a cached number, 2 for bfloat16, 1 for FP8. dollars: a GPU and hour.
    """

    context: int
    concurrency: int = 1
    work: ServingWork = field(default_factory=ServingWork)
    cache_number: int = 2
    dollars: float | None = None


@dataclass(frozen=True)
class ServingPlanner:
    """One network in one format on one kind of node."""

    network: ServedNetwork
    form: WeightFormat
    parts: tuple[WeightPart, ...]
    node: ServingNode
    engine: EngineProfile
    rates: AchievedRates
    demand: ServingDemand

    @cached_property
    def gpu(self) -> GpuModel:
        """The node's GPU."""
        assert self.node.gpu is not None
        return self.node.gpu

    def plan(self, gpus: int) -> list[PlannedLayout]:
        """Every layout of so many GPUs, impossible ones with their reasons."""
        return [self.plan_layout(layout) for layout in layouts_of(gpus, self.node.gpus)]

    def plan_layout(self, layout: ServingLayout) -> PlannedLayout:
        """One layout. Memory is not counted where engines refuse the layout anyway."""
        found = refusals(layout, self.network, self.form)
        if found:
            return PlannedLayout(layout.name, "gpu", layout.gpus, tuple(found), layout=layout)
        held = held_weights(list(self.parts), layout, self.network)
        memory = self.memory(layout, held)
        requests = -(-self.demand.concurrency // layout.dp)
        needed = requests * self.demand.context
        reasons = memory_reasons(memory, held, self.demand, requests)
        longest = min(memory.tokens, self.network.max_position_embeddings)
        batch = memory.tokens // self.demand.work.middle * layout.dp
        batch = min(batch, self.engine.sequences * layout.dp)
        rates = None if reasons else self.speed(layout, held, memory, batch)
        return PlannedLayout(
            layout.name,
            "gpu",
            layout.gpus,
            reasons,
            memory_parts(memory, needed),
            memory.capacity,
            memory.free(needed),
            0.0,
            longest,
            batch,
            rates,
            price_of(self.demand.dollars, layout.gpus, layout.gpus, rates),
            layout,
        )

    def memory(self, layout: ServingLayout, held: HeldWeights) -> GpuMemory:
        """Of the fullest GPU."""
        return gpu_memory(
            self.network, self.form, layout, held, self.gpu, self.engine, self.demand.cache_number
        )

    def speed(
        self, layout: ServingLayout, held: HeldWeights, memory: GpuMemory, batch: int
    ) -> ServingRates:
        """Of the workload, with a request alone and with as many as fit."""
        speed = LayoutSpeed(
            self.network, self.parts, self.form, layout, held, self.node, self.gpu, self.rates,
            memory.cache_token,
        )  # fmt: skip
        batch = max(batch, 1)
        middle = self.demand.work.middle
        decode, step = speed.decode(batch, middle)
        one, _ = speed.decode(1, middle)
        return ServingRates(speed.prefill(self.demand.work.prompt), one, batch, decode, step)


def memory_reasons(
    memory: GpuMemory, held: HeldWeights, demand: ServingDemand, requests: int
) -> tuple[str, ...]:
    """Why the memory is not enough, in words; empty if it is."""
    if memory.cache < 0:
        rest = memory.budget - memory.cache - held.total
        return (
            f"memory: weights {held.total / GIB:.1f} GiB a GPU, {rest / GIB:.1f} more for the "
            f"engine and the margin, but it may use {memory.budget / GIB:.1f} of "
            f"{memory.capacity / GIB:.1f}: {-memory.cache / GIB:.1f} too much before any cache",
        )
    needed = requests * demand.context * memory.cache_token
    if needed > memory.cache:
        return (
            f"memory: {requests} request(s) of {demand.context:,} tokens need "
            f"{needed / GIB:.2f} GiB of cache a GPU, {memory.cache / GIB:.2f} are left: "
            f"at most {memory.tokens // requests:,} tokens each",
        )
    return ()


def memory_parts(memory: GpuMemory, tokens: int) -> dict[str, float]:
    """The bar: bytes of the fullest GPU by what they are, with so many cached tokens."""
    return {
        "weights": memory.codes,
        "scales": memory.scales,
        "cache": tokens * memory.cache_token,
        "activations": memory.activations,
        "logits": memory.logits,
        "message buffers": memory.buffers,
        "runtime": memory.runtime,
    }
