"""Seconds of computing, from operations and an assumed share of the GPU's peak rate."""

from collections import defaultdict
from collections.abc import Sequence

from openk2.architecture import ModelConfig, head_flops, layer_flops, newton_schulz_flops
from openk2.optim import Matrices, divide_work
from openk2.parallel import Part
from openk2.plan.machine import Machine
from openk2.plan.network import Pass
from openk2.plan.states import HeldParameter
from openk2.train import Memory

STEPS = 5  # of Newton-Schulz, as MuonClip takes by default


def micro_flops(config: ModelConfig, parts: Sequence[Part], memory: Memory, run: Pass) -> float:
    """Of a forward and a backward pass over `parts`; what is recomputed counts once more."""
    once = again = 0.0
    for part in parts:
        for layer in part.layers:
            flops = layer_flops(config, layer, run.length)
            once += flops.total
            again += flops.mla_up * ("mla_up" in memory.recompute)
            again += flops.down * ("moe_down" in memory.recompute)
        once += head_flops(config) * part.last
    return run.rows * run.length * (3 * once + again)


def micro_seconds(
    config: ModelConfig, parts: Sequence[Part], memory: Memory, run: Pass, machine: Machine
) -> float:
    """How long `micro_flops` take."""
    return micro_flops(config, parts, memory, run) / (machine.flops * machine.efficiency)


def newton_schulz_seconds(held: Sequence[HeldParameter], zero: int, machine: Machine) -> float:
    """A step's Newton-Schulz on the most loaded rank, divided as `optim.divide_work` does."""
    here, shared = 0.0, defaultdict[int, list[tuple[int, ...]]](list)
    for parameter in held:
        if not parameter.muon:
            continue
        if zero and len(parameter.shape) == 3:
            rows, columns = parameter.shape[1:]
            matrices = parameter.shard // (rows * columns)
            here += matrices * newton_schulz_flops(rows, columns, STEPS)
        else:
            shared[parameter.copies].append(parameter.shape)
    for copies, shapes in shared.items():
        load = [0.0] * copies
        for job in divide_work(tuple(map(Matrices.all_of, shapes)), copies):
            load[job.owner] += job.count * newton_schulz_flops(job.rows, job.columns, STEPS)
        here += max(load)
    return here / (machine.flops * machine.efficiency)
