"""Deployments of published models on machines of the catalogue, for tests."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from openk2.deploy import (
    ENGINES,
    DeployedModel,
    Deployment,
    choose_layout,
    find_serving_engine,
    published_model,
    recorded_flags,
)
from openk2.plan import (
    ServingDemand,
    ServingPlan,
    find_engine,
    find_node,
    find_served,
    plan_serving,
)
from openk2.plan.serving.machine import read_catalogue

MODELS = ("k2", "k2-0905", "k2-thinking", "k2.5")
HOSTILE = """/models/it's "$HOME" `id` $(id) $$ ; rm -rf / # é %n * ~ \\ {x} ${HOME:-y}"""


@functools.cache
def planned(profile: str, model: str, machine: str, cache: int = 2) -> ServingPlan:
    """A model on 1, 2 and 4 nodes of a machine."""
    node = find_node(machine)
    counts = [node.gpus * nodes for nodes in (1, 2, 4)]
    demand = ServingDemand(32768, cache_number=cache)
    return plan_serving(find_served(model), node, find_engine(profile), demand, counts)


def deployed(
    engine: str = "vllm",
    model: str = "k2",
    machine: str = "h200",
    layout: str | None = None,
    *,
    cache: int = 2,
    changed: DeployedModel | None = None,
    **changes: object,
) -> Deployment:
    """One deployment; changes: of its fields."""
    found = find_serving_engine(engine)
    plan = planned(found.profile, model, machine, cache)
    given = changed or published_for(engine, model)
    chosen = choose_layout(plan, found, layout)
    made = Deployment(found, given, plan, chosen, recorded_flags(engine))
    return replace(made, **changes)  # type: ignore[arg-type]


def published_for(engine: str, model: str) -> DeployedModel:
    """A preset, by its name on the hub; at a path for kt-kernel, which reads no other."""
    found = published_model(model, f"/models/{model}" if engine == "ktransformers" else None, None)
    assert found is not None
    return found


def every_deployment(models: Sequence[str] = MODELS) -> Iterator[Deployment]:
    """Every layout that plan and engine call feasible, of every machine and engine."""
    for engine in ENGINES:
        for machine in read_catalogue():
            for model in models:
                plan = planned(engine.profile, model, machine)
                for layout in plan.layouts:
                    serves = layout.fits and layout.kind in engine.kinds
                    if serves and engine.refusal(plan, layout) is None:
                        published = published_for(engine.id, model)
                        flags = recorded_flags(engine.id)
                        yield Deployment(engine, published, plan, layout, flags)


def flag_value(words: list[str], flag: str, default: str = "1") -> str:
    """What follows a flag."""
    return words[words.index(flag) + 1] if flag in words else default
