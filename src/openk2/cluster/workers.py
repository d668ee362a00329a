"""`Workers`: something that runs a function over items."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class WorkerError(RuntimeError):
    """Workers that cannot be started or that die each time; the message gives the remedy."""


class Workers(Protocol):
    """Somewhere to run a function over items.

    The function is one that pickle finds by its module and name (or a partial of one), and gives
    the same result wherever and however often it runs: an item whose worker was lost runs again.
    """

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """(index of the item, result) as they finish, in any order; few are in flight at a time.

        What the function raises for an item is raised here, and the rest is not begun. Raises
        WorkerError if an item's worker dies again and again.
        """
