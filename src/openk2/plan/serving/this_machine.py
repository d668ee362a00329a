"""The machine that the planner runs on, as a node: its GPUs, its RAM and how fast that is."""

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from openk2.config import read_recipe
from openk2.plan.serving.error import ServingError
from openk2.plan.serving.machine import (
    BUILT_IN,
    GB,
    GpuModel,
    MachineCatalogue,
    ServingNode,
)
from openk2.record import available_host_memory

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
COPIED = 2**27  # bytes, more than caches hold
DISK = 3.0  # GB/s, assumed
NETWORK = 1.25  # GB/s, assumed
HOST_LINK = 26.0  # GB/s to a GPU, PCIe 4.0 x16, assumed
MEMORY_TOLERANCE = 0.05  # the driver counts up to 2 % more than a process can allocate


@dataclass(frozen=True)
class DriverGpu:
    """A GPU as nvidia-smi has it. memory: GiB; None where it has no number, as for a GB10, which
    shares the RAM."""

    name: str
    memory: float | None

    def __str__(self) -> str:
        return f"{self.name!r}" + ("" if self.memory is None else f" of {self.memory:.1f} GiB")


def this_node(*, gpus: bool = True) -> ServingNode:
    """This machine. gpus: whether its GPUs are planned with, else it is one without.

    Raises ServingError if it has GPUs that the catalogue does not know.
    """
    found = driver_gpus() if gpus else []
    gpu = known_gpu(found) if found else None
    ram = available_host_memory()
    assumed = [
        f"disk {DISK:g} GB/s, network {NETWORK:g} GB/s, GPU to RAM {HOST_LINK:g} GB/s: "
        "give a TOML file with --machine to say otherwise"
    ]
    if ram is None:
        raise ServingError("the system does not say how much memory it has: use --machine FILE")
    bandwidth = copy_bandwidth()
    return ServingNode(
        "this machine", gpu, len(found), NETWORK, HOST_LINK, ram / GB, bandwidth, DISK,
        "nvidia-smi, available RAM, and the speed of copying it measured on one core",
        tuple(assumed),
    )  # fmt: skip


def driver_gpus() -> list[DriverGpu]:
    """This machine's NVIDIA GPUs; none if there is no nvidia-smi or no driver."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return [read_gpu(line) for line in done.stdout.splitlines() if line.strip()]


def read_gpu(line: str) -> DriverGpu:
    """A GPU of nvidia-smi's answer to `QUERY`: its name, and MiB or `[N/A]`."""
    name, _, memory = line.rpartition(",")
    mebibytes = memory.strip()
    return DriverGpu(name.strip(), float(mebibytes) / 1024 if mebibytes.isdecimal() else None)


def known_gpu(gpus: Sequence[DriverGpu]) -> GpuModel:
    """The catalogue's entry for these GPUs. Raises ServingError if they are of several kinds, or
    of none that it has."""
    kinds = {catalogue_gpu(gpu) for gpu in gpus} if len({gpu.name for gpu in gpus}) == 1 else set()
    if len(kinds) != 1:
        raise ServingError(
            f"this machine has {', '.join(sorted({str(gpu) for gpu in gpus}))}: plan one kind at "
            "a time with --machine FILE"
        )
    return kinds.pop()


def catalogue_gpu(gpu: DriverGpu) -> GpuModel:
    """The entry of this name and memory. Raises ServingError if there is none."""
    name = gpu.name.removeprefix("NVIDIA ")
    for known in read_recipe(BUILT_IN, MachineCatalogue).gpu:
        memory = known.memory if gpu.memory is None else gpu.memory
        if name in known.driver and abs(memory / known.memory - 1) < MEMORY_TOLERANCE:
            return known
    raise ServingError(
        f"the catalogue does not know the GPU {gpu}: describe it in a TOML file and give "
        "--machine FILE"
    )


def copy_bandwidth() -> float:
    """GB/s that one core reads and writes while copying, the best of three; a lower bound."""
    source = np.ones(COPIED, np.uint8)
    target = np.empty_like(source)
    best = min(copy_seconds(source, target) for _ in range(3))
    return 2 * COPIED / best / GB


def copy_seconds(source: np.ndarray, target: np.ndarray) -> float:
    """One copy of bytes [n]."""
    begun = time.perf_counter()
    np.copyto(target, source)
    return time.perf_counter() - begun
