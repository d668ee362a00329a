"""Where the matrices that Muon orthogonalises are in a parameter: all of it, or one part.

Algorithm 1 (report 2.1) has each matrix apart, as the published checkpoint stores them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Matrices:
    """`count` matrices of one shape in a parameter whose own matrices are [height, width].

    dim: the dimension that they share with others, -2 for rows or -1 for columns. Along it they
    have `size` of every `period` positions, from `start` on; along the other dimension all.
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
        """All of a parameter [n, m] or of a stack [count, n, m]."""
        count, height, width = shape if len(shape) == 3 else (1, *shape)
        return cls(count, height, width, -2, 0, height, height)

    @property
    def rows(self) -> int:
        """Rows of each matrix."""
        return self.rows_in(range(self.height))

    @property
    def columns(self) -> int:
        """Columns of each matrix."""
        return self.width if self.dim == -2 else self.width // self.period * self.size

    def rows_in(self, held: range) -> int:
        """How many of the parameter's rows `held` belong to these matrices."""
        if self.dim == -1:
            return len(held)
        return self._before(held.stop) - self._before(held.start)

    def _before(self, place: int) -> int:
        """How many of the first `place` positions along `dim` belong to these matrices."""
        periods, rest = divmod(place, self.period)
        return periods * self.size + min(max(rest - self.start, 0), self.size)

    def view(self, tensor: "Tensor", held: range) -> "Tensor":
        """A view of these matrices in `tensor` [count, len(held), width], the rows `held`.

        Returns [count, rows_in(held), columns], or one dimension more where the positions of a
        matrix are not contiguous: [count, runs, size, columns] or [count, rows, runs, size].
        """
        if self.period < (self.height, self.width)[self.dim]:
            runs = tensor.shape[self.dim] // self.period
            tensor = tensor.unflatten(self.dim, (runs, self.period))
            return tensor.narrow(self.dim, self.start, self.size)
        if self.dim == -1:
            return tensor.narrow(-1, self.start, self.size)
        first = min(max(self.start - held.start, 0), len(held))
        return tensor.narrow(-2, first, self.rows_in(held))
