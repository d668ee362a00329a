"""How rows get to the experts that they chose, and back: the seam of expert parallelism.

The routed experts compute what arrives; where they are is the dispatch's business. Here is the one
for experts that are all in this process.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Arrived:
    """rows [M', hidden], grouped by expert; counts: how many each expert here has.

    along: values [M, ...] of the rows that were sent -> of these rows [M', ...].
    back: results [M', ...] of these rows -> of the rows that were sent [M, ...], in their order,
        perhaps in the dtype of the rows.
    """

    rows: Tensor
    counts: list[int]
    along: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


class Dispatch(Protocol):
    """Brings rows to experts that may be elsewhere."""

    def __call__(self, rows: Tensor, counts: Tensor) -> Arrived:
        """rows [M, hidden], grouped by expert, counts int64 [experts] of them."""
        ...


def here(rows: Tensor, counts: Tensor) -> Arrived:
    """The dispatch of a process that holds every expert."""
    return Arrived(rows, counts.tolist(), along=unmoved, back=unmoved)


def unmoved(values: Tensor) -> Tensor:
    """The way of what need not travel."""
    return values
