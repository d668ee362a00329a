"""A plan as tables for a terminal, and as a dict for programs."""

import dataclasses
from collections.abc import Callable
from typing import Any

from rich.table import Table

from openk2.architecture import count_parameters
from openk2.plan.machine import GIGA, TERA
from openk2.plan.plan import Plan, RankPlan, StepTime
from openk2.train import Memory

DAY = 86400.0


def heading(plan: Plan) -> str:
    """What is planned, in a few lines."""
    recipe, layout, machine = plan.recipe, plan.recipe.layout, plan.machine
    count = count_parameters(plan.config)
    return (
        f"{plan.gpus:,} GPUs: pipeline {layout.pipeline} x data {plan.data}, of which expert "
        f"{layout.expert}; virtual {layout.virtual}, zero {layout.zero}\n"
        f"{count.total:,} parameters, {count.active:,} active; "
        f"{shown(plan.flops_a_token)} GFLOP a token (forward and backward, nothing twice)\n"
        f"{plan.tokens:,} tokens a step ({recipe.rows:,} rows of "
        f"{plan.length:,}), {plan.micro_batches:,} micro-batches of {recipe.micro_rows} row(s) a "
        f"data rank; attention {'as one kernel' if plan.fused else 'in plain operations'}\n"
        f"a GPU: {machine.flops / TERA:.4g} TFLOP/s and {shown(machine.memory)} GB "
        f"({machine.source}), products at {machine.efficiency:.0%} (assumed); NVLink "
        f"{machine.nvlink / GIGA:g}, network {machine.network / GIGA:g}, host "
        f"{machine.host / GIGA:g} GB/s, nodes of {machine.node} "
        f"with {machine.ram / GIGA:g} GB"
    )


def verdict(plan: Plan) -> str:
    """Whether the memory is enough, and what to change where it is not: one line."""
    machine = plan.machine
    node = min(plan.gpus, machine.node)
    how = "attention as one kernel" if plan.fused else "attention in plain operations"
    sizes = (
        f"a GPU {shown(plan.device)} of {shown(machine.memory)} GB, the host of {node} "
        f"GPU(s) {shown(plan.on_host)} of {shown(machine.ram)} GB"
    )
    if plan.fits:
        return f"fits with {how}: {sizes}"
    change = "more GPUs, fewer micro_rows, or in [memory] recompute, fp8_inputs, offload"
    if plan.device <= machine.memory:
        change = "without memory.offload, more GPUs, or fewer micro_rows"
    return f"DOES NOT FIT with {how}: {sizes}; try {change}"


def shown(value: float) -> str:
    """In units of 1e9, with a digit after the point or, of small values, three digits in all."""
    value /= GIGA
    return f"{value:,.1f}" if value >= 10 else f"{value:.3g}"


def memory_table(plan: Plan) -> Table:
    """Bytes a rank: the largest, and the range over pipeline ranks."""
    largest = max(plan.ranks, key=lambda rank: rank.device)
    table = Table(title=f"GB a rank (1e9 bytes), {plan.gpus:,} GPUs", title_justify="left")
    table.add_column("")
    table.add_column(f"rank {largest.rank}, largest", justify="right")
    table.add_column("min .. max", justify="right")
    for name, size in memory_rows(plan):
        values = [size(rank) / GIGA for rank in plan.ranks]
        spread = f"{min(values):.2f} .. {max(values):.2f}"
        table.add_row(name, f"{size(largest) / GIGA:.2f}", spread)
    return table


def memory_rows(plan: Plan) -> list[tuple[str, Callable[[RankPlan], float]]]:
    """What the table says of each rank, with dtypes."""
    memory, zero = plan.recipe.memory, plan.recipe.layout.zero
    parts = sorted({name for rank in plan.ranks for name in rank.activations})
    parts = [name for name in parts if any(rank.activations.get(name) for rank in plan.ranks)]
    weights, sums = state_dtypes(memory, zero)
    rows: list[tuple[str, Callable[[RankPlan], float]]] = [
        (f"parameters, {weights}", lambda r: r.states.parameters),
        (f"gradients, {sums}", lambda r: r.states.gradients),
        ("optimizer: masters, float32", lambda r: r.states.masters),
        ("optimizer: momentum (Muon), float32", lambda r: r.states.momentum),
        ("optimizer: moments (AdamW), float32", lambda r: r.states.moments),
        ("all states", lambda r: r.states.total),
    ]
    rows += [(f"kept: {name}", part_of(name)) for name in parts]
    rows += [
        ("kept on the device", lambda r: sum(r.activations.values())),
        ("kept on the host", lambda r: sum(r.on_host.values())),
        ("working memory of a layer", lambda r: r.working),
        ("device in all", lambda r: r.device),
    ]
    return rows


def part_of(name: str) -> Callable[[RankPlan], float]:
    """What a rank keeps of one part of the network."""
    return lambda rank: rank.activations.get(name, 0)


def state_dtypes(memory: Memory, zero: int) -> tuple[str, str]:
    """Of parameters and gradients between passes; see `state_bytes`."""
    if zero == 3:
        return "float32 shards", "float32 shards"
    return memory.parameters, memory.gradients if zero else "float32"


def time_table(plan: Plan) -> Table:
    """Messages and seconds of a step."""
    table = Table(title=f"A step, {plan.gpus:,} GPUs", title_justify="left")
    for name in ("", "GB sent by the busiest rank", "seconds"):
        table.add_column(name, justify="left" if not name else "right")
    many = plan.micro_batches
    for name, often in (("experts", many), ("pipeline", many), ("offload", many)):
        add_traffic(table, plan, name, often)
    for name in ("gradients", "weights", "muon"):
        add_traffic(table, plan, name, 1)
    compute = max(rank.compute for rank in plan.ranks) * many
    table.add_row("computing", "", f"{compute:.2f}")
    newton = max(rank.newton_schulz for rank in plan.ranks)
    table.add_row("Newton-Schulz", "", f"{newton:.2f}")
    for name, step in (
        ("step without overlap", plan.step(overlap=False)),
        ("step with overlap", plan.step(overlap=True)),
    ):
        table.add_row(name, "", f"{step.total:.2f}")
        table.add_row("  tokens/s", "", f"{plan.tokens / step.total:,.0f}")
        table.add_row("  MFU", "", f"{plan.mfu(step):.1%}")
        table.add_row(f"  days for {plan.recipe.steps:,} steps", "", f"{days(plan, step):.1f}")
    bubble = plan.step(overlap=True).bubble
    table.add_row("bubble, share of the passes", "", f"{bubble:.1%}")
    return table


def add_traffic(table: Table, plan: Plan, name: str, often: int) -> None:
    """A line of one kind of message, of the rank that is longest at it."""
    messages = [getattr(rank.traffic, name).times(often) for rank in plan.ranks]
    longest = max(messages, key=lambda message: message.seconds)
    table.add_row(name, f"{longest.bytes / GIGA:,.1f}", f"{longest.seconds:.2f}")


def days(plan: Plan, step: StepTime) -> float:
    """Of the recipe's whole run."""
    return plan.recipe.steps * step.total / DAY


def as_dict(plan: Plan) -> dict[str, Any]:
    """All of a plan in plain values: bytes, seconds, and what they are for."""
    memory, layout = plan.recipe.memory, plan.recipe.layout
    weights, sums = state_dtypes(memory, layout.zero)
    count = count_parameters(plan.config)
    return {
        "gpus": plan.gpus,
        "data_ranks": plan.data,
        "layout": dataclasses.asdict(layout),
        "memory": dataclasses.asdict(memory),
        "machine": dataclasses.asdict(plan.machine),
        "parameters": count.total,
        "active_parameters": count.active,
        "flops_a_token": plan.flops_a_token,
        "fits": plan.fits,
        "node_on_host": plan.on_host,
        "tokens_a_step": plan.tokens,
        "row_length": plan.length,
        "attention": "fused" if plan.fused else "plain",
        "micro_batches": plan.micro_batches,
        "dtypes": {"parameters": weights, "gradients": sums, "optimizer": "float32"},
        "ranks": [rank_dict(rank) for rank in plan.ranks],
        "without_overlap": step_dict(plan, plan.step(overlap=False)),
        "with_overlap": step_dict(plan, plan.step(overlap=True)),
    }


def rank_dict(rank: RankPlan) -> dict[str, Any]:
    """One rank's."""
    return {
        **dataclasses.asdict(rank),
        "all_states": rank.states.total,
        "device": rank.device,
    }


def step_dict(plan: Plan, step: StepTime) -> dict[str, float]:
    """One step's times."""
    return {
        **dataclasses.asdict(step),
        "total": step.total,
        "tokens_a_second": plan.tokens / step.total,
        "mfu": plan.mfu(step),
        "days": days(plan, step),
    }
