"""The machines that a plan is for: what it takes as given, each from the command line."""

from dataclasses import dataclass

GIGA, TERA = 1e9, 1e12


@dataclass(frozen=True)
class Machine:
    """Rates of one GPU, in one direction. The defaults are an H800 node's, as K2's cluster has
    them (report 2.4; docs/design/plan.md gives the sources).

    node: GPUs that NVLink joins. nvlink, network, host: bytes a second to another GPU of the node,
    to one of another node, and to the host's memory. flops: bfloat16 products a second at best;
    efficiency: the share of it that matrix products reach. memory, ram: bytes of a GPU, and of a
    node's host. source: where flops and memory come from, in words.
    """

    node: int = 8
    nvlink: float = 160 * GIGA
    network: float = 50 * GIGA
    host: float = 50 * GIGA
    flops: float = 989 * TERA
    efficiency: float = 0.4
    memory: float = 80 * GIGA
    ram: float = 2000 * GIGA
    source: str = "an H800's, stated"

    def __post_init__(self) -> None:
        for name in ("node", "nvlink", "network", "host", "flops", "efficiency", "memory", "ram"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be above 0")
        if self.efficiency > 1:
            raise ValueError(f"efficiency is {self.efficiency}: it must be at most 1")


@dataclass(frozen=True)
class Ranks:
    """A group of ranks that talk: `count` of them, `apart` from each other in rank number."""

    count: int
    apart: int = 1

    def inside(self, machine: Machine) -> int:
        """How many of them share a node with one of them, itself included."""
        return max(1, min(self.count, machine.node // self.apart))


@dataclass(frozen=True)
class Message:
    """Bytes that leave the busiest rank in a step, and the seconds that they take."""

    bytes: float
    seconds: float

    def __add__(self, other: "Message") -> "Message":
        return Message(self.bytes + other.bytes, self.seconds + other.seconds)

    def times(self, count: int) -> "Message":
        """So many of them, one after another."""
        return Message(self.bytes * count, self.seconds * count)


NOTHING = Message(0.0, 0.0)


def to_all(size: float, ranks: Ranks, machine: Machine) -> Message:
    """`size` bytes in equal parts for all ranks of a group, the own part staying: all-to-all.

    What stays in the node and what leaves it travel at the same time.
    """
    part, inside = size / ranks.count, ranks.inside(machine)
    near, far = part * (inside - 1), part * (ranks.count - inside)
    return Message(near + far, max(near / machine.nvlink, far / machine.network))


def in_ring(size: float, ranks: Ranks, machine: Machine) -> Message:
    """A reduce-scatter or all-gather of `size` bytes over a group, at its slowest link's rate."""
    leaving = size * (ranks.count - 1) / ranks.count
    rate = machine.nvlink if ranks.inside(machine) == ranks.count else machine.network
    return Message(leaving, leaving / rate)
