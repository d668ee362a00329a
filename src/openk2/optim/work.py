"""Who orthogonalises what: each matrix once in the whole fleet, the work even over its ranks.

Newton-Schulz on n x m costs in proportion to n m min(n, m). The plan follows from shapes alone, so
every rank makes the same one without a message.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Job:
    """Matrices first .. first + count - 1 of tensor number `tensor`, each `rows` x `columns`.

    owner: the rank that orthogonalises them, as its number in the group that shares the work.
    """

    tensor: int
    first: int
    count: int
    rows: int
    columns: int
    owner: int

    @property
    def numbers(self) -> int:
        """How many numbers these matrices hold."""
        return self.count * self.rows * self.columns

    @property
    def cost(self) -> int:
        """Newton-Schulz's work on them, up to a factor."""
        return self.numbers * min(self.rows, self.columns)


@lru_cache(maxsize=8)
def share_out(shapes: tuple[tuple[int, ...], ...], ranks: int) -> tuple[Job, ...]:
    """Jobs that cover matrices and stacks of these `shapes`, over `ranks`.

    Each rank gets as long a run of every stack; what is left of stacks, and the matrices, go one by
    one, the dearest first, to the rank that has least to do.
    """
    runs, singles = [], []
    for tensor, shape in enumerate(shapes):
        rows, columns = shape[-2:]
        count = shape[0] if len(shape) == 3 else 1
        run = count // ranks
        if run:
            runs += [Job(tensor, r * run, run, rows, columns, r) for r in range(ranks)]
        singles += [(tensor, i, rows, columns) for i in range(run * ranks, count)]
    load = [0] * ranks
    placed = []
    for tensor, index, rows, columns in sorted(
        singles, key=lambda s: (-s[2] * s[3] * min(s[2:]), s[0], s[1])
    ):
        owner = load.index(min(load))
        placed.append(Job(tensor, index, 1, rows, columns, owner))
        load[owner] += placed[-1].cost
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
