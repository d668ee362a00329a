"""Prefill and decode on nodes of their own, each pool data and expert parallel (report, SGLang).

Each pool must hold the longest request. Latents travel from one pool to the other once, which the
rate does not count.
"""

from dataclasses import replace

from openk2.plan.serving.layout import ServingLayout
from openk2.plan.serving.planned import PlannedLayout, price_of
from openk2.plan.serving.planner import ServingPlanner
from openk2.plan.serving.speed import ServingRates


def plan_split(planner: ServingPlanner, gpus: int) -> PlannedLayout | None:
    """The division of the nodes that serves most requests a second; None for a single node.

    If no division fits, the reasons are of the one that leaves most nodes to decode.
    """
    node = planner.node.gpus
    nodes = gpus // node
    if nodes < 2 or gpus % node:
        return None
    found = [plan_pools(planner, prefill, nodes - prefill) for prefill in range(1, nodes)]
    fitting = [plan for plan in found if plan.fits]
    return max(fitting, key=lambda plan: requests_a_second(planner, plan)) if fitting else found[0]


def plan_pools(planner: ServingPlanner, prefill: int, decode: int) -> PlannedLayout:
    """So many nodes for each."""
    node = planner.node.gpus
    pools = [planner.plan_layout(pool(planner, count * node)) for count in (prefill, decode)]
    reasons = tuple(
        f"{word}: {reason}"
        for word, plan in zip(("prefill", "decode"), pools, strict=True)
        for reason in plan.reasons
    )
    first, second = pools
    rates = None
    if first.rates is not None and second.rates is not None:
        rates = replace(second.rates, prefill=first.rates.prefill)
    return replace(
        second,
        name=f"prefill {first.name} | decode {second.name}",
        kind="split",
        gpus=(prefill + decode) * node,
        reasons=reasons,
        context=min(first.context, second.context),
        rates=rates,
        price=price_of(planner.demand.dollars, prefill * node, decode * node, rates),
    )


def pool(planner: ServingPlanner, gpus: int) -> ServingLayout:
    """Data and expert parallel, with as many redundant experts as make the division even."""
    odd = -planner.network.n_routed_experts % gpus
    return ServingLayout(dp=gpus, expert_parallel=True, redundant=odd)


def requests_a_second(planner: ServingPlanner, plan: PlannedLayout) -> float:
    """What the slower pool lets through."""
    rates: ServingRates | None = plan.rates
    if rates is None:
        return 0.0
    work = planner.demand.work
    return min(rates.prefill / work.prompt, rates.decode / work.answer)
