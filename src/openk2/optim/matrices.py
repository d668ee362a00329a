"""The matrices that Muon orthogonalises, as they lie in a parameter: all of it, or one part."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Matrices:
    """`count` matrices of one shape in a parameter whose own matrices are [height, width].

    dim: along which they share those with others, -2 for rows or -1 for columns. There they have
    `size` places of every `period`, from `start` on; along the other dimension all.
    """

    count: int
    height: int
    width: int
    dim: int
    start: int
    size: int
    period: int

    @classmethod
    def all_of(cls, shape: tuple[int, ...]) -> "Matrices":
        """A parameter [n, m], or a stack [count, n, m], that is shared with nothing."""
        count, height, width = shape if len(shape) == 3 else (1, *shape)
        return cls(count, height, width, -2, 0, height, height)

    @property
    def rows(self) -> int:
        """Of each matrix."""
        return self.rows_in(range(self.height))

    @property
    def columns(self) -> int:
        """Of each matrix."""
        return self.width if self.dim == -2 else self.width // self.period * self.size

    def rows_in(self, held: range) -> int:
        """How many of the parameter's rows `held` are theirs."""
        if self.dim == -1:
            return len(held)
        return self._before(held.stop) - self._before(held.start)

    def _before(self, place: int) -> int:
        """How many of the first `place` places along `dim` are theirs."""
        periods, rest = divmod(place, self.period)
        return periods * self.size + min(max(rest - self.start, 0), self.size)

    def view(self, tensor: "Tensor", held: range) -> "Tensor":
        """Them in a tensor [count, len(held), width], the parameter's rows `held`; no copy.

        [count, rows_in(held), columns]; where they come in several runs one dimension more:
        [count, runs, size, columns] or [count, rows, runs, size].
        """
        if self.period < (self.height, self.width)[self.dim]:
            runs = tensor.shape[self.dim] // self.period
            tensor = tensor.unflatten(self.dim, (runs, self.period))
            return tensor.narrow(self.dim, self.start, self.size)
        if self.dim == -1:
            return tensor.narrow(-1, self.start, self.size)
        first = min(max(self.start - held.start, 0), len(held))
        return tensor.narrow(-2, first, self.rows_in(held))
