"""The machine that the planner runs on, as a node: its GPUs, its RAM and how fast that is."""

import subprocess
import time

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


def this_node() -> ServingNode:
    """This machine. Raises ServingError if it has GPUs that the catalogue does not know."""
    names = gpu_names()
    gpu = known_gpu(names) if names else None
    ram = available_host_memory()
    assumed = [
        f"disk {DISK:g} GB/s, network {NETWORK:g} GB/s, GPU to RAM {HOST_LINK:g} GB/s: "
        "give a TOML file with --machine to say otherwise"
    ]
    if ram is None:
        raise ServingError("the system does not say how much memory it has: use --machine FILE")
    bandwidth = copy_bandwidth()
    return ServingNode(
        "this machine", gpu, len(names), NETWORK, HOST_LINK, ram / GB, bandwidth, DISK,
        "nvidia-smi, available RAM, and the speed of copying it measured on one core",
        tuple(assumed),
    )  # fmt: skip


def gpu_names() -> list[str]:
    """The names of this machine's NVIDIA GPUs; none if there is no nvidia-smi or no driver."""
    try:
        done = subprocess.run(QUERY, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.split(",")[0].strip() for line in done.stdout.splitlines() if line.strip()]


def known_gpu(names: list[str]) -> GpuModel:
    """The catalogue's entry for GPUs of these names, which must be of one kind."""
    if len(set(names)) > 1:
        raise ServingError(
            f"this machine has {', '.join(sorted(set(names)))}: plan one kind at a time with "
            "--machine FILE"
        )
    words = set(names[0].lower().replace("nvidia", "").replace("-", " ").split())
    for gpu in read_recipe(BUILT_IN, MachineCatalogue).gpu:
        if gpu.id.split("-")[0] in words:
            return gpu
    raise ServingError(
        f"the catalogue does not know the GPU {names[0]!r}: describe it in a TOML file and give "
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
