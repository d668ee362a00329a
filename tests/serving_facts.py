"""Plans every published fact of serving_facts.toml, for the tests and the benchmark's table."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openk2.config import read_recipe
from openk2.plan.serving.layout import ServingLayout, held_weights
from openk2.plan.serving.machine import GIB, find_engine, find_node, profiles
from openk2.plan.serving.memory import cache_bytes
from openk2.plan.serving.offload import OffloadPlanner
from openk2.plan.serving.planned import PlannedLayout
from openk2.plan.serving.planner import ServingDemand, ServingPlanner
from openk2.plan.serving.source import find_served
from openk2.plan.serving.speed import LayoutSpeed, ServingWork

FACTS = Path(__file__).with_name("serving_facts.toml")
CACHE = {"bf16": 2, "fp8": 1}


@dataclass(frozen=True)
class SizeFact:
    """within: the share by which the published figure may differ, for it is rounded."""

    what: str
    model: str
    published: float
    within: float
    source: str
    weights: str | None = None

    def planned(self) -> float:
        """Bytes, or parameters."""
        subject = find_served(self.model, self.weights)
        network = subject.network
        read = network.num_experts_per_tok * network.moe_layers
        return {
            "parameters": sum(part.parameters for part in subject.parts),
            "cache a token": cache_bytes(network),
            "weights": subject.bytes,
            "experts of a token": network.expert_parameters * read,  # one byte each
            "cache of 262,144 tokens, fp8": 262144 * cache_bytes(network, 1),
        }[self.what]


@dataclass(frozen=True)
class Planned:
    """What the facts of layouts share."""

    model: str
    machine: str
    says: str
    source: str

    def planner(self, demand: ServingDemand, **given: Any) -> ServingPlanner:
        """The planner of the fact's network and machine."""
        subject = find_served(self.model, given.get("weights"))
        node = replace(find_node(self.machine), **given.get("changes", {}))
        engine = find_engine(given.get("engine", "vllm"), **given.get("settings", {}))
        return ServingPlanner(
            subject.network, subject.form, subject.parts, node, engine, profiles().rates, demand
        )


@dataclass(frozen=True)
class Cut:
    """A ServingLayout as the file has it."""

    tp: int = 1
    dp: int = 1
    pp: int = 1
    dcp: int = 1
    expert_parallel: bool = False
    redundant: int = 0

    def layout(self) -> ServingLayout:
        """The layout."""
        return ServingLayout(**vars(self))


@dataclass(frozen=True)
class Settings:
    """What the report set, None where it did not."""

    utilization: float | None = None
    batched_tokens: int | None = None
    sequences: int | None = None
    dispatch_tokens: int | None = None


@dataclass(frozen=True)
class FitFact(Planned):
    """tokens, cache_gib: what the engine reported to be left for the cache."""

    fits: bool
    layout: Cut
    context: int
    weights: str | None = None
    engine: str = "vllm"
    cache: str = "bf16"
    concurrency: int = 1
    because: str = ""
    tokens: int | None = None
    cache_gib: float | None = None
    settings: Settings = field(default_factory=Settings)

    def planned(self) -> PlannedLayout:
        """The layout's plan."""
        return self.made().plan_layout(self.layout.layout())

    def made(self) -> ServingPlanner:
        """The planner."""
        demand = ServingDemand(self.context, self.concurrency, cache_number=CACHE[self.cache])
        return self.planner(
            demand, weights=self.weights, engine=self.engine, settings=vars(self.settings)
        )

    def left(self) -> tuple[float, float]:
        """GiB a GPU for the cache before the margin, and tokens that it holds."""
        planner, layout = self.made(), self.layout.layout()
        held = held_weights(list(planner.parts), layout, planner.network)
        memory = planner.memory(layout, held)
        cache = memory.cache + memory.margin
        return cache / GIB, cache / memory.cache_token


@dataclass(frozen=True)
class Changes:
    """Figures of a node that differ from the catalogue's."""

    ram: float | None = None
    ram_bandwidth: float | None = None


@dataclass(frozen=True)
class OffloadFact(Planned):
    """gpu_gib, ram_gb: used; within: the share by which they may differ."""

    gpus: int
    context: int
    within: float
    fits: bool = True
    weights: str | None = None
    gpu_experts: int = 1
    gpu_gib: float | None = None
    ram_gb: float | None = None
    one: float | None = None
    prefill: float | None = None
    changes: Changes = field(default_factory=Changes)

    def planned(self) -> PlannedLayout:
        """The plan with experts in RAM."""
        changes = {name: value for name, value in vars(self.changes).items() if value is not None}
        demand = ServingDemand(self.context)
        planner = self.planner(demand, weights=self.weights, changes=changes)
        offload = OffloadPlanner(planner, profiles().host, self.gpu_experts)
        return offload.plan(self.gpus)[0]


@dataclass(frozen=True)
class RateFact(Planned):
    """fitted: whether a share of engines.toml was taken from it."""

    what: str
    layout: Cut
    prompt: int
    published: float
    weights: str | None = None
    engine: str = "vllm"
    batch: int = 1
    answer: int = 100
    dollars: float | None = None
    fitted: bool = False

    def planned(self) -> float:
        """Tokens a second, or dollars a million."""
        work = ServingWork(self.prompt, self.answer)
        planner = self.planner(
            ServingDemand(self.prompt, work=work), weights=self.weights, engine=self.engine
        )
        layout = self.layout.layout()
        held = held_weights(list(planner.parts), layout, planner.network)
        token = planner.memory(layout, held).cache_token
        speed = LayoutSpeed(
            planner.network, planner.parts, planner.form, layout, held, planner.node, planner.gpu,
            planner.rates, token,
        )  # fmt: skip
        if self.what == "prefill":
            return speed.prefill(self.prompt)
        rate, _ = speed.decode(self.batch, work.middle)
        if self.what == "decode":
            return rate
        if self.what == "total":
            seconds = self.prompt / speed.prefill(self.prompt) + self.answer / rate
            return (self.prompt + self.answer) / seconds
        assert self.dollars is not None
        return self.dollars * layout.gpus / 3600 * 1e6 / rate


@dataclass(frozen=True)
class Facts:
    """The tables of serving_facts.toml."""

    size: tuple[SizeFact, ...]
    fit: tuple[FitFact, ...]
    offload: tuple[OffloadFact, ...]
    rate: tuple[RateFact, ...]


def read_facts() -> Facts:
    """All of them."""
    return read_recipe(FACTS, Facts)


def table() -> Iterator[tuple[str, str, str, str]]:
    """(what is published, published, planned, source) of every fact."""
    facts = read_facts()
    for size in facts.size:
        yield (
            f"{size.model}: {size.what}",
            f"{size.published:,.0f}",
            f"{size.planned():,.0f}",
            size.source,
        )
    for fit in facts.fit:
        yield f"{fit.model}: {fit.says}", published_fit(fit), planned_fit(fit), fit.source
    for offload in facts.offload:
        wanted, found = offload_cells(offload)
        yield f"{offload.model}: {offload.says}", wanted, found, offload.source
    for rate in facts.rate:
        planned = rate.planned()
        note = ", fitted" if rate.fitted else ""
        yield (
            f"{rate.model}: {rate.says}",
            f"{rate.published:,g}",
            f"{rounded(planned)} ({planned / rate.published:.2f} x{note})",
            rate.source,
        )


def published_fit(fact: FitFact) -> str:
    """Whether it ran, and what was left."""
    text = "runs" if fact.fits else "does not run"
    if fact.tokens is not None:
        text += f", {fact.tokens:,} tokens"
    return text if fact.cache_gib is None else f"{text}, {fact.cache_gib:g} GiB left"


def planned_fit(fact: FitFact) -> str:
    """The plan's verdict, with what is left where that is published."""
    plan = fact.planned()
    text = f"{plan.layout.name if plan.layout else ''} " + ("fits" if plan.fits else "does not fit")
    if fact.tokens is not None:
        text += f", {fact.left()[1]:,.0f} tokens ({fact.left()[1] / fact.tokens:.3f} x)"
    if fact.cache_gib is not None:
        text += f", {fact.left()[0]:.1f} GiB left"
    return text if plan.fits else f"{text}: {plan.reasons[0]}"


def offload_cells(fact: OffloadFact) -> tuple[str, str]:
    """Published and planned, of the figures that the fact has."""
    plan = fact.planned()
    if not fact.fits:
        return "does not run", "fits" if plan.fits else f"does not fit: {plan.reasons[0]}"
    assert plan.rates is not None
    pairs = [
        (fact.gpu_gib, gpu_gib(plan), "GiB on the GPU"),
        (fact.ram_gb, plan.ram / 1e9, "GB of RAM"),
        (fact.one, plan.rates.one, "tokens/s"),
        (fact.prefill, plan.rates.prefill, "prompt tokens/s"),
    ]
    shown = [(wanted, found, unit) for wanted, found, unit in pairs if wanted is not None]
    return (
        ", ".join(f"{wanted:g} {unit}" for wanted, _, unit in shown),
        ", ".join(
            f"{rounded(found)} {unit} ({found / wanted:.2f} x)" for wanted, found, unit in shown
        ),
    )


def rounded(number: float) -> str:
    """Three digits, or whole."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def gpu_gib(plan: PlannedLayout) -> float:
    """GiB that a plan uses of one GPU before a prompt streams experts through it."""
    return sum(size for name, size in plan.parts.items() if name != "streamed layer") / GIB
