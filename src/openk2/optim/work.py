"""Who orthogonalises what: each matrix once in the whole fleet, the work even over its ranks.

Newton-Schulz on n x m costs in proportion to n m min(n, m). The plan follows from shapes alone, so
every rank makes the same one without a message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from openk2.optim.matrices import Matrices


@dataclass(frozen=True)
class Job:
    """The first-th to (first + count - 1)-th of `matrices`, which are stack number `stack`.

    owner: the rank that orthogonalises them, as its number in the group that shares the work.
    """

    stack: int
    first: int
    count: int
    matrices: Matrices
    owner: int

    @property
    def rows(self) -> int:
        """Of each matrix."""
        return self.matrices.rows

    @property
    def columns(self) -> int:
        """Of each matrix."""
        return self.matrices.columns

    @property
    def numbers(self) -> int:
        """How many numbers these matrices hold."""
        return self.count * self.rows * self.columns

    @property
    def cost(self) -> int:
        """Newton-Schulz's work on them, up to a factor."""
        return self.numbers * min(self.rows, self.columns)


@lru_cache(maxsize=8)
def share_out(stacks: tuple[Matrices, ...], ranks: int) -> tuple[Job, ...]:
    """Jobs that cover these stacks of matrices, over `ranks`.

    Each rank gets as long a run of every stack; what is left of stacks, and the matrices, go one by
    one, the dearest first, to the rank that has least to do.
    """
    runs, singles = [], []
    for stack, matrices in enumerate(stacks):
        run = matrices.count // ranks
        if run:
            runs += [Job(stack, r * run, run, matrices, r) for r in range(ranks)]
        left = range(run * ranks, matrices.count)
        singles += [Job(stack, first, 1, matrices, 0) for first in left]
    load = [0] * ranks
    placed = []
    for job in sorted(singles, key=lambda job: (-job.cost, job.stack, job.first)):
        owner = load.index(min(load))
        placed.append(replace(job, owner=owner))
        load[owner] += job.cost
    return tuple(runs + placed)


def rounds(jobs: Sequence[Job], ranks: int, numbers: int) -> Iterator[list[Job]]:
    """`jobs` in as few rounds as let no rank hold more than `numbers` in one.

    A job that is larger has a round to itself on its rank. Rounds bound what is in memory and in
    flight; each takes one exchange.
    """
    packs: list[list[list[Job]]] = [[] for _ in range(ranks)]
    room = [0] * ranks
    for job in jobs:
        if not packs[job.owner] or job.numbers > room[job.owner]:
            packs[job.owner].append([])
            room[job.owner] = numbers
        packs[job.owner][-1].append(job)
        room[job.owner] -= job.numbers
    for number in range(max(map(len, packs))):
        yield [job for pack in packs if number < len(pack) for job in pack[number]]
