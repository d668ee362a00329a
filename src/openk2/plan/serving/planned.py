"""A layout with its verdict: what it needs, what is left, how fast it is, or why not."""

from dataclasses import dataclass, field
from typing import Literal

from openk2.plan.serving.layout import ServingLayout
from openk2.plan.serving.speed import ServingRates

LayoutKind = Literal["gpu", "split", "ram", "disk"]


@dataclass(frozen=True)
class ServingPrice:
    """Dollars of a million tokens, of a prompt and of an answer."""

    prompt: float
    answer: float


@dataclass(frozen=True)
class PlannedLayout:
    """kind: all on GPUs; prefill and decode on GPUs of their own; experts in RAM, or on disk.

    reasons: why it is impossible, empty if it fits. parts: bytes on the fullest GPU, by what they
    are, in the order of the bar. capacity: bytes of a GPU. free: bytes left there with the cache
    that was asked for, beyond the margin. ram: bytes needed in a node's RAM. context: tokens of the
    longest request that fits. batch: requests of the workload that fit at once.
    """

    name: str
    kind: LayoutKind
    gpus: int
    reasons: tuple[str, ...]
    parts: dict[str, float] = field(default_factory=dict)
    capacity: float = 0.0
    free: float = 0.0
    ram: float = 0.0
    context: int = 0
    batch: int = 0
    rates: ServingRates | None = None
    price: ServingPrice | None = None
    layout: ServingLayout | None = None

    @property
    def fits(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


def price_of(
    dollars: float | None, prefill_gpus: int, decode_gpus: int, rates: ServingRates | None
) -> ServingPrice | None:
    """What tokens cost at `dollars` a GPU and hour, if each GPU did nothing else meanwhile."""
    if dollars is None or rates is None:
        return None
    second = dollars / 3600 * 1e6
    return ServingPrice(second * prefill_gpus / rates.prefill, second * decode_gpus / rates.decode)
