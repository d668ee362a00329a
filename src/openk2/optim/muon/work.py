"""Which rank orthogonalises which matrix: each matrix once, the work even over the ranks.

Report 2.1, Muon distributed. Newton-Schulz on n x m costs in proportion to n m min(n, m). The plan
follows from shapes alone, so every rank computes the same one without a message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from openk2.optim.muon.matrices import Matrices


@dataclass(frozen=True)
class Assignment:
    """Matrices first .. first + count - 1 of stack number `stack`, and the rank that owns the work.

    owner: the rank that orthogonalises them, as its number in the process group.
    """

    stack: int
    first: int
    count: int
    matrices: Matrices
    owner: int

    @property
    def rows(self) -> int:
        """Rows of each matrix."""
        return self.matrices.rows

    @property
    def columns(self) -> int:
        """Columns of each matrix."""
        return self.matrices.columns

    @property
    def numbers(self) -> int:
        """Elements of these matrices together."""
        return self.count * self.rows * self.columns

    @property
    def cost(self) -> int:
        """Operations of Newton-Schulz on them, up to a constant factor."""
        return self.numbers * min(self.rows, self.columns)


@lru_cache(maxsize=8)
def divide_work(stacks: tuple[Matrices, ...], ranks: int) -> tuple[Assignment, ...]:
    """Assign every matrix of these stacks to one of `ranks` ranks.

    Each rank gets an equal run of every stack. The remaining matrices are assigned one at a time,
    most expensive first, to the least loaded rank.
    """
    runs, singles = [], []
    for stack, matrices in enumerate(stacks):
        run = matrices.count // ranks
        if run:
            runs += [Assignment(stack, r * run, run, matrices, r) for r in range(ranks)]
        left = range(run * ranks, matrices.count)
        singles += [Assignment(stack, first, 1, matrices, 0) for first in left]
    load = [0] * ranks
    placed = []
    for job in sorted(singles, key=lambda job: (-job.cost, job.stack, job.first)):
        owner = load.index(min(load))
        placed.append(replace(job, owner=owner))
        load[owner] += job.cost
    return tuple(runs + placed)


def rounds(jobs: Sequence[Assignment], ranks: int, numbers: int) -> Iterator[list[Assignment]]:
    """Split `jobs` into the fewest rounds in which no rank owns more than `numbers` elements.

    A larger job has a round to itself on its rank. Each round takes one exchange; rounds bound what
    is in memory and in flight.
    """
    packs: list[list[list[Assignment]]] = [[] for _ in range(ranks)]
    room = [0] * ranks
    for job in jobs:
        if not packs[job.owner] or job.numbers > room[job.owner]:
            packs[job.owner].append([])
            room[job.owner] = numbers
        packs[job.owner][-1].append(job)
        room[job.owner] -= job.numbers
    for number in range(max(map(len, packs))):
        yield [job for pack in packs if number < len(pack) for job in pack[number]]
