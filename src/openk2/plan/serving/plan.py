"""The whole plan: every layout for every number of GPUs, and the answer to "will it fit?"."""

from dataclasses import dataclass

from openk2.plan.serving.error import ServingError
from openk2.plan.serving.machine import EngineProfile, ServingNode, profiles
from openk2.plan.serving.memory import cache_bytes
from openk2.plan.serving.offload import OffloadPlanner
from openk2.plan.serving.planned import PlannedLayout
from openk2.plan.serving.planner import ServingDemand, ServingPlanner
from openk2.plan.serving.source import ServedSubject
from openk2.plan.serving.split import plan_split


@dataclass(frozen=True)
class ServingPlan:
    """layouts: of every number of GPUs that was asked for, in their order."""

    subject: ServedSubject
    node: ServingNode
    engine: EngineProfile
    demand: ServingDemand
    layouts: tuple[PlannedLayout, ...]

    @property
    def on_gpus(self) -> list[PlannedLayout]:
        """Layouts that fit with all weights on GPUs."""
        return [plan for plan in self.layouts if plan.fits and plan.kind in ("gpu", "split")]

    @property
    def offloaded(self) -> list[PlannedLayout]:
        """Layouts that fit with routed experts in RAM or on disk."""
        return [plan for plan in self.layouts if plan.fits and plan.kind in ("ram", "disk")]

    @property
    def at_home(self) -> list[PlannedLayout]:
        """Layouts that fit where the machine has its memory: GPUs, or RAM if it has none."""
        if self.node.gpus:
            return self.on_gpus
        return [plan for plan in self.offloaded if plan.kind == "ram"]

    @property
    def best(self) -> PlannedLayout | None:
        """Of `at_home` and the fewest GPUs, the one that decodes most; None if there is none."""
        if not self.at_home:
            return None
        least = min(plan.gpus for plan in self.at_home)
        return max((plan for plan in self.at_home if plan.gpus == least), key=decoded)

    @property
    def cache_token(self) -> int:
        """Bytes of a cached token in all layers."""
        return cache_bytes(self.subject.network, self.demand.cache_number)


def decoded(plan: PlannedLayout) -> float:
    """Tokens a second of the batched rate."""
    return plan.rates.decode if plan.rates else 0.0


def plan_serving(
    subject: ServedSubject,
    node: ServingNode,
    engine: EngineProfile,
    demand: ServingDemand,
    gpus: list[int],
    gpu_experts: int = 1,
) -> ServingPlan:
    """Plan `subject` for each number of GPUs; offloading for those of a single node.

    gpu_experts: routed experts of a layer that stay on the GPUs when the others are offloaded.
    Raises ServingError for requests that are longer than the network's window.
    """
    window = subject.network.max_position_embeddings
    if demand.context > window:
        raise ServingError(
            f"{subject.title}: a context of {demand.context:,} tokens is beyond its window of "
            f"{window:,} (max_position_embeddings): give --context {window} or less"
        )
    known = profiles()
    planner = ServingPlanner(
        subject.network, subject.form, subject.parts, node, engine, known.rates, demand
    )
    host = OffloadPlanner(planner, known.host, gpu_experts)
    found: list[PlannedLayout] = []
    for count in gpus:
        if count:
            found += planner.plan(count)
            split = plan_split(planner, count)
            found += [split] if split is not None else []
        found += host.plan(count)
    return ServingPlan(subject, node, engine, demand, tuple(found))
