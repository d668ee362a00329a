"""How a run's processes divide the network: the recipe's `[layout]` table (report 2.4).

A rank has three coordinates, slowest to fastest: which part of the network it holds (pipeline),
which copy of the experts it belongs to, and which share of the experts it holds (expert). The last
two together are its number among the data ranks: each of those takes its own rows of a step.
"""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Layout:
    """What each process holds. The default is one whole replica in each process.

    pipeline: ranks that hold consecutive parts of the network.
    virtual: parts that each pipeline rank holds, for the interleaved schedule.
    zero_bubble: compute weight gradients separately, so that pipeline ranks wait less.
    expert: ranks that share the routed experts of a layer; it divides the data ranks.
    zero: what the data ranks shard. 0: nothing. 1: the optimizer's state and its work.
        3: parameters and gradients too.
    patience: seconds that a rank waits for another one before it gives up.
    """

    pipeline: int = 1
    virtual: int = 1
    zero_bubble: bool = False
    expert: int = 1
    zero: Literal[0, 1, 3] = 0
    patience: float = 600.0

    def __post_init__(self) -> None:
        for name in ("pipeline", "virtual", "expert"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.zero not in (0, 1, 3) or isinstance(self.zero, bool):
            raise ValueError(f"zero is {self.zero}: it must be 0, 1 or 3")
        if not 0 < self.patience < math.inf:
            raise ValueError(f"patience is {self.patience}: it must be a finite number above 0")
        if self.virtual > 1 and self.pipeline == 1:
            raise ValueError(
                f"virtual is {self.virtual} with pipeline 1: stages are interleaved over pipeline "
                "ranks; set pipeline, or leave virtual out"
            )
        if self.zero == 3 and self.pipeline > 1:
            raise ValueError(
                f"zero is 3 with pipeline {self.pipeline}: a pipeline has several micro-batches "
                "under way and would keep parameters and gradients whole between them; take zero 1"
            )
        if self.zero_bubble and self.pipeline == 1:
            raise ValueError(
                "zero_bubble is set with pipeline 1, which has no bubble: set pipeline, or leave "
                "zero_bubble out"
            )

    def data(self, world: int) -> int:
        """Data ranks among `world` processes. Raises ValueError if the layout does not fit them."""
        if world % self.pipeline:
            raise ValueError(
                f"layout.pipeline {self.pipeline} does not divide {world} processes: change one"
            )
        data = world // self.pipeline
        if data % self.expert:
            raise ValueError(
                f"layout.expert {self.expert} does not divide the {data} data ranks "
                f"({world} processes / pipeline {self.pipeline}): change one"
            )
        return data

    def check_network(self, layers: int, experts: int, tied: bool = False) -> None:
        """Raise ValueError if a network of `layers`, `experts` a layer, cannot be divided so.

        tied: whether its head is its embedding, which has to be one tensor on every rank.
        """
        if tied and (self.pipeline > 1 or self.zero):
            raise ValueError(
                f"tie_word_embeddings is true beside pipeline {self.pipeline} and zero "
                f"{self.zero}, which hold embedding and head apart: use pipeline 1 and zero 0"
            )
        stages = self.pipeline * self.virtual
        if stages > layers:
            raise ValueError(
                f"layout has {stages} stages (pipeline {self.pipeline} x virtual {self.virtual}) "
                f"for {layers} layers: a stage needs at least one"
            )
        if experts % self.expert:
            raise ValueError(
                f"layout.expert {self.expert} does not divide the {experts} experts of a layer: "
                "change one"
            )
