"""A `Machine` with the rate and the memory that this machine's device was found to have."""

import time
from dataclasses import replace

import torch

from openk2.plan.machine import Machine

SIDES = {"cpu": 1024, "cuda": 8192}  # of a square product
SECONDS = 1.0


def measured(machine: Machine, device: str, memory: int | None, products: str) -> Machine:
    """`machine` with `device`'s rate of `products`, the recipe's dtype: the best of a second.

    memory: bytes that the device has left; None leaves the machine's. All GPUs of a plan are taken
    to be like this one.
    """
    kind = torch.device(device).type
    rate = best_rate(device, getattr(torch, products), SIDES[kind], SECONDS)
    source = f"measured here on {device}: the best {products} product of {SIDES[kind]:,} squared"
    return replace(machine, flops=rate, memory=memory or machine.memory, source=source)


def best_rate(device: str, dtype: torch.dtype, side: int, seconds: float) -> float:
    """Operations a second of the fastest product of [side, side] within `seconds`."""
    a = torch.ones(side, side, dtype=dtype, device=device)
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        began = time.perf_counter()
        a @ a
        if a.is_cuda:
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best
