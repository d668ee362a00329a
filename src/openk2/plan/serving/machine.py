"""GPUs, nodes and engines that a serving plan is for: data, each with its source.

`catalogue.toml` and `engines.toml` beside this file hold what is known; a user's file of the first
one's form describes any other machine.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from openk2.config import RecipeError, read_recipe
from openk2.plan.serving.error import ServingError

GIB, GB, TERA = 2.0**30, 1e9, 1e12
BUILT_IN = Path(__file__).with_name("catalogue.toml")
ENGINES = Path(__file__).with_name("engines.toml")


@dataclass(frozen=True)
class GpuModel:
    """Units of catalogue.toml: GiB, GB/s, dense TFLOP/s. driver: its names in nvidia-smi."""

    id: str
    name: str
    memory: float
    bandwidth: float
    bf16: float
    fp8: float
    link: float
    source: str
    driver: tuple[str, ...] = ()

    @property
    def is_amd(self) -> bool:
        """Whether it is AMD's, not NVIDIA's."""
        return self.name.startswith("AMD")


@dataclass(frozen=True)
class NodeEntry:
    """A node as catalogue.toml has it; `gpu` is the id of a GPU there."""

    id: str
    gpu: str
    gpus: int
    network: float
    host: float
    ram: float
    ram_bandwidth: float
    disk: float
    source: str


@dataclass(frozen=True)
class MachineCatalogue:
    """The tables of catalogue.toml."""

    node: tuple[NodeEntry, ...]
    gpu: tuple[GpuModel, ...] = ()


@dataclass(frozen=True)
class ServingNode:
    """One node. id: its name. gpus: how many, 0 for none. Units of catalogue.toml; ram in GB.

    assumed: lines of what was not known and is guessed.
    """

    id: str
    gpu: GpuModel | None
    gpus: int
    network: float
    host: float
    ram: float
    ram_bandwidth: float
    disk: float
    source: str
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("network", "host", "ram", "ram_bandwidth", "disk"):
            if not getattr(self, name) > 0:
                raise ServingError(
                    f"{self.id}: {name} is {getattr(self, name)}: it must be above 0"
                )
        if self.gpus < 0 or (self.gpu is None) != (self.gpus == 0):
            raise ServingError(f"{self.id}: gpus is {self.gpus}: it must be 0 or more")


def read_catalogue(file: Path = BUILT_IN) -> dict[str, ServingNode]:
    """Nodes by name. A user's file may name GPUs of the built-in catalogue. Raises ServingError."""
    try:
        tables = read_recipe(file, MachineCatalogue)
        known = read_recipe(BUILT_IN, MachineCatalogue).gpu
    except RecipeError as error:
        raise ServingError(str(error)) from error
    gpus = {gpu.id: gpu for gpu in (*known, *tables.gpu)}
    for entry in tables.node:
        if entry.gpu not in gpus:
            raise ServingError(
                f"{file}: node {entry.id!r} has the GPU {entry.gpu!r}: there are {', '.join(gpus)}"
            )
    if len({entry.id for entry in tables.node}) < len(tables.node):
        raise ServingError(f"{file}: two nodes have one id: give each its own, or one node only")
    return {entry.id: node_of(entry, gpus[entry.gpu]) for entry in tables.node}


def node_of(entry: NodeEntry, gpu: GpuModel) -> ServingNode:
    """The node of a catalogue entry."""
    return ServingNode(
        entry.id, gpu, entry.gpus, entry.network, entry.host, entry.ram, entry.ram_bandwidth,
        entry.disk, entry.source,
    )  # fmt: skip


def find_node(name: str) -> ServingNode:
    """A node of the catalogue, or the only one of a TOML file. Raises ServingError."""
    if name.endswith(".toml"):
        nodes = read_catalogue(Path(name))
        if len(nodes) != 1:
            raise ServingError(f"{name} has {len(nodes)} nodes: give a file with one [[node]]")
        return next(iter(nodes.values()))
    nodes = read_catalogue()
    if name not in nodes:
        raise ServingError(
            f"no machine {name!r}: there are {', '.join(nodes)}; or give a TOML file of your own"
        )
    return nodes[name]


@dataclass(frozen=True)
class EngineProfile:
    """What an engine keeps, in the units and words of engines.toml."""

    id: str
    utilization: float
    static: bool
    batched_tokens: int
    sequences: int
    runtime: float
    logits_copies: int
    context_workspace: int
    graphs: float
    dispatch_tokens: int
    margin: float
    source: str
    fit: str

    def __post_init__(self) -> None:
        if not 0 < self.utilization <= 1:
            raise ValueError(f"utilization is {self.utilization}: it must be above 0, at most 1")
        if self.batched_tokens < 1 or self.sequences < 1:
            raise ValueError("batched_tokens and sequences must be 1 or more")


@dataclass(frozen=True)
class HostProfile:
    """An engine with routed experts in RAM, in the units and words of engines.toml."""

    gpu_overhead: float
    ram_reserved: float
    ram_share: float
    efficiency: float
    source: str
    fit: str


@dataclass(frozen=True)
class AchievedRates:
    """Shares of a GPU's rates that engines reach; see engines.toml."""

    fp8: float
    bf16: float
    weight_only: float
    memory: float
    layer_latency: float
    network_latency: float
    factor: float
    source: str
    fit: str


@dataclass(frozen=True)
class Profiles:
    """The tables of engines.toml."""

    engine: tuple[EngineProfile, ...]
    host: HostProfile
    rates: AchievedRates


@cache
def profiles() -> Profiles:
    """engines.toml."""
    return read_recipe(ENGINES, Profiles)


def find_engine(name: str, **changes: float | int | None) -> EngineProfile:
    """An engine of engines.toml; changes: fields that the user sets, None for those left alone.

    Raises ServingError.
    """
    known = {engine.id: engine for engine in profiles().engine}
    if name not in known:
        raise ServingError(f"no engine {name!r}: there are {', '.join(known)}")
    given: dict[str, Any] = {key: value for key, value in changes.items() if value is not None}
    try:
        return replace(known[name], **given)
    except ValueError as error:
        raise ServingError(str(error)) from error
