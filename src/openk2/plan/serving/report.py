"""A serving plan as text and tables for a terminal, and as a dict for programs."""

import dataclasses
from typing import Any

from rich.table import Table

from openk2.plan.serving.machine import GB, GIB, profiles
from openk2.plan.serving.plan import ServingPlan
from openk2.plan.serving.planned import PlannedLayout

COLUMNS = (
    "GPUs",
    "layout",
    "weights",
    "free",
    "longest",
    "batch",
    "prefill",
    "decode 1",
    "decode all",
)


def serving_heading(plan: ServingPlan) -> str:
    """What is planned, in a few lines, with everything that is assumed."""
    subject, node, engine, demand = plan.subject, plan.node, plan.engine, plan.demand
    gpu = "no GPU" if node.gpu is None else f"{node.gpus} x {node.gpu.name} a node"
    kind = "headers" if subject.measured else "sizes"
    lines = [
        f"{subject.title}: {gigabytes(subject.bytes)} of weights ({subject.form.name}, from its "
        f"{kind}), cache {plan.cache_token:,} bytes a token in {subject.network.num_hidden_layers} "
        "layers",
        f"{node.id}: {gpu}, RAM {node.ram:,.0f} GB at {node.ram_bandwidth:,.0f} GB/s, "
        f"disk {node.disk:g} GB/s",
        f"{engine.id}: {engine.utilization:.0%} of a GPU's memory, passes of "
        f"{engine.batched_tokens:,} tokens, {engine.sequences:,} sequences; {engine.margin:g} GiB "
        "must stay free",
        f"wanted: {demand.concurrency} request(s) of {demand.context:,} tokens at once; rates for "
        f"prompts of {demand.work.prompt:,} and answers of {demand.work.answer:,}, right within a "
        f"factor of {profiles().rates.factor:g}",
    ]
    return "\n".join([*lines, *(f"assumed: {line}" for line in (*subject.assumed, *node.assumed))])


def serving_verdict(plan: ServingPlan) -> str:
    """The answer in one line."""
    best = plan.best
    if best is not None and not best.gpus:
        return f"YES: fits with {best.name}: {one_rate(best)}"
    if best is not None:
        return (
            f"YES: fits on {best.gpus} GPU{'s' * (best.gpus > 1)} as {best.name}, "
            f"{best.free / GIB:.1f} GiB a GPU free beyond the margin"
        )
    counts = sorted({layout.gpus for layout in plan.layouts if layout.kind == "gpu"})
    where = f"on {', '.join(map(str, counts))} GPU(s)" if counts else "in RAM"
    if plan.offloaded:
        fast = max(plan.offloaded, key=lambda layout: layout.rates.one if layout.rates else 0)
        return f"NOT {where}; only with {fast.name}: {one_rate(fast)}"
    return f"NO: no layout fits {where}"


def one_rate(layout: PlannedLayout) -> str:
    """How fast one request is answered, in words."""
    assert layout.rates is not None
    return f"about {layout.rates.one:.2g} tokens/s"


def gigabytes(size: float) -> str:
    """Bytes in GB, three digits at least."""
    return f"{size / GB:,.1f} GB" if size >= 100 * GB else f"{size / GB:.3g} GB"


def fitting_table(plan: ServingPlan) -> Table:
    """The layouts that fit. Sizes in GiB a GPU, rates in tokens a second."""
    table = Table(title="Fits (GiB a GPU, tokens, tokens/s)", title_justify="left")
    priced = plan.demand.dollars is not None
    columns = (*COLUMNS, "$ / M prompt", "$ / M answer") if priced else COLUMNS
    for name in columns:
        table.add_column(name, justify="left" if name == "layout" else "right")
    for layout in plan.layouts:
        if layout.fits:
            table.add_row(*fitting_cells(layout, priced))
    return table


def fitting_cells(layout: PlannedLayout, priced: bool) -> list[str]:
    """One line of it."""
    rates = layout.rates
    assert rates is not None
    weights = layout.parts.get("weights", 0.0) + layout.parts.get("scales", 0.0)
    cells = [
        str(layout.gpus),
        layout.name,
        f"{weights / GIB:.1f}",
        f"{layout.free / GIB:.1f}",
        f"{layout.context:,}",
        f"{layout.batch:,}",
        f"{rates.prefill:,.0f}",
        f"{rates.one:.3g}",
        f"{rates.decode:,.3g}" if rates.decode < 10 else f"{rates.decode:,.0f}",
    ]
    if priced:
        price = layout.price
        cells += ["", ""] if price is None else [f"{price.prompt:.3f}", f"{price.answer:.3f}"]
    return cells


def impossible_table(plan: ServingPlan) -> Table:
    """The layouts that do not fit, each with every reason."""
    table = Table(title="Does not fit", title_justify="left")
    table.add_column("GPUs", justify="right")
    table.add_column("layout")
    table.add_column("because", overflow="fold")
    for layout in plan.layouts:
        if not layout.fits:
            table.add_row(str(layout.gpus), layout.name, "\n".join(layout.reasons))
    return table


def serving_dict(plan: ServingPlan) -> dict[str, Any]:
    """All of a plan in plain values: bytes, tokens, seconds, dollars."""
    subject, demand = plan.subject, plan.demand
    return {
        "verdict": serving_verdict(plan),
        "fits": bool(plan.at_home),
        "fits_offloaded": bool(plan.offloaded),
        "model": {
            "title": subject.title,
            "network": dataclasses.asdict(subject.network),
            "weights": subject.form.name,
            "bytes": subject.bytes,
            "scale_bytes": sum(part.scales for part in subject.parts),
            "bytes_from": "headers" if subject.measured else "sizes",
            "cache_bytes_a_token": plan.cache_token,
        },
        "machine": dataclasses.asdict(plan.node),
        "engine": dataclasses.asdict(plan.engine),
        "demand": dataclasses.asdict(demand),
        "rate_factor": profiles().rates.factor,
        "assumed": [*subject.assumed, *plan.node.assumed],
        "layouts": [{"fits": layout.fits, **dataclasses.asdict(layout)} for layout in plan.layouts],
    }
