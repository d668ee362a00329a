"""Dispatch: bring rows to the experts that they chose, and the results back.

This is the interface of expert parallelism (report 2.4). The routed experts compute the rows that
arrive; the dispatch knows where the experts are. `here` is the one for experts that are all in this
process.
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
    """The dispatch of a process that holds every expert; see `Dispatch` for shapes."""
    return Arrived(rows, counts.tolist(), along=unmoved, back=unmoved)


def unmoved(values: Tensor) -> Tensor:
    """Return values of any shape that need not be sent anywhere."""
    return values
