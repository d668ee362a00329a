"""Send matrices to the ranks that orthogonalise them, and the results back, many in one message.

Report 2.1, Muon distributed.

`RowShards`: each rank holds some rows of every matrix; one all-to-all each way.
`Replicas`: each rank holds every matrix; nothing to send, one all-gather for the results.
`shards.rows_of` says which rows of a parameter a rank holds; a part of a fused parameter has those
of them that are its own, perhaps none. Every rank passes the jobs in the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.optim.muon.work import Assignment
from openk2.optim.shards import rows_of


class Exchange(Protocol):
    """The messages of one round of jobs. Tensors keep their dtype."""

    @property
    def group(self) -> dist.ProcessGroup:
        """The ranks that share the work."""
        ...

    def owned_at_most(self, numbers: int) -> int:
        """The most numbers a rank may own in a round if it holds at most `numbers` at once."""
        ...

    def collect(self, jobs: Sequence[Assignment], parts: Sequence[Tensor]) -> list[Tensor]:
        """One part a job, [count, rows held here, columns], all of one dtype -> the whole matrices
        of this rank's jobs, [count, rows, columns], in the jobs' order."""
        ...

    def spread(
        self, jobs: Sequence[Assignment], parts: Sequence[Tensor], results: Sequence[Tensor]
    ) -> list[Tensor]:
        """Results of this rank's jobs, shaped as from `collect` -> of every job, as `parts`."""
        ...


@dataclass(frozen=True)
class Replicas:
    """Every rank of `group` holds all of every matrix."""

    group: dist.ProcessGroup

    def owned_at_most(self, numbers: int) -> int:
        """See `Exchange`: every rank receives the results of all ranks."""
        return numbers // self.group.size()

    def collect(self, jobs: Sequence[Assignment], parts: Sequence[Tensor]) -> list[Tensor]:
        """See `Exchange`."""
        me = self.group.rank()
        return [part for job, part in zip(jobs, parts, strict=True) if job.owner == me]

    def spread(
        self, jobs: Sequence[Assignment], parts: Sequence[Tensor], results: Sequence[Tensor]
    ) -> list[Tensor]:
        """See `Exchange`. Every rank sends as much as the rank that owns most."""
        ranks = self.group.size()
        owned = [[i for i, job in enumerate(jobs) if job.owner == rank] for rank in range(ranks)]
        sizes = [sum(jobs[i].numbers for i in indices) for indices in owned]
        gathered = parts[0].new_zeros(ranks, max(sizes))
        mine = gathered[self.group.rank()].clone()
        if results:
            torch.cat(
                [result.flatten() for result in results], out=mine[: sizes[self.group.rank()]]
            )
        dist.all_gather(list(gathered.unbind()), mine, group=self.group)
        spread = list(parts)
        for rank, indices in enumerate(owned):
            pieces = gathered[rank, : sizes[rank]].split([jobs[i].numbers for i in indices])
            for i, piece in zip(indices, pieces, strict=True):
                spread[i] = piece.view_as(parts[i])
        return spread


@dataclass(frozen=True)
class RowShards:
    """Every rank of `group` holds some rows of every matrix; jobs are of one matrix each."""

    group: dist.ProcessGroup

    def owned_at_most(self, numbers: int) -> int:
        """See `Exchange`: a rank's rows of a round hold as much as the matrices that it owns."""
        return numbers

    def collect(self, jobs: Sequence[Assignment], parts: Sequence[Tensor]) -> list[Tensor]:
        """See `Exchange`."""
        ranks, mine = self.group.size(), self.mine(jobs)
        leaving = [[parts[i] for i, j in enumerate(jobs) if j.owner == r] for r in range(ranks)]
        coming = [[self.shape(job, rank) for job in mine] for rank in range(ranks)]
        pieces = self.exchange(leaving, coming, parts[0])
        return [torch.cat(rows, dim=1) for rows in zip(*pieces, strict=True)]

    def spread(
        self, jobs: Sequence[Assignment], parts: Sequence[Tensor], results: Sequence[Tensor]
    ) -> list[Tensor]:
        """See `Exchange`."""
        ranks = self.group.size()
        leaving: list[list[Tensor]] = [[] for _ in range(ranks)]
        for job, result in zip(self.mine(jobs), results, strict=True):
            for rank, rows in enumerate(result.split([*self.split(job)], dim=1)):
                leaving[rank].append(rows)
        owned = [[i for i, job in enumerate(jobs) if job.owner == rank] for rank in range(ranks)]
        coming = [[parts[i].shape for i in indices] for indices in owned]
        spread = list(parts)
        for indices, pieces in zip(owned, self.exchange(leaving, coming, parts[0]), strict=True):
            for i, piece in zip(indices, pieces, strict=True):
                spread[i] = piece
        return spread

    def mine(self, jobs: Sequence[Assignment]) -> list[Assignment]:
        """This rank's jobs."""
        return [job for job in jobs if job.owner == self.group.rank()]

    def split(self, job: Assignment) -> list[int]:
        """How many rows each rank holds."""
        ranks, matrices = self.group.size(), job.matrices
        held = (rows_of(matrices.height, ranks, rank) for rank in range(ranks))
        return [matrices.rows_in(rows) for rows in held]

    def shape(self, job: Assignment, rank: int) -> torch.Size:
        """The shape of the part of a job's matrix that `rank` holds."""
        return torch.Size((1, self.split(job)[rank], job.columns))

    def exchange(
        self,
        leaving: list[list[Tensor]],
        coming: list[list[torch.Size]],
        like: Tensor,
    ) -> list[list[Tensor]]:
        """One all-to-all. leaving[r]: tensors for rank r; coming[r]: shapes of those from r."""
        out = torch.cat(
            [tensor.flatten() for tensors in leaving for tensor in tensors] or [like[:0].flatten()]
        )
        sizes = [[shape.numel() for shape in shapes] for shapes in coming]
        arrived = like.new_empty(sum(map(sum, sizes)))
        dist.all_to_all_single(
            arrived,
            out,
            [sum(numbers) for numbers in sizes],
            [sum(tensor.numel() for tensor in tensors) for tensors in leaving],
            group=self.group,
        )
        pieces = iter(arrived.split([number for numbers in sizes for number in numbers]))
        return [[next(pieces).view(shape) for shape in shapes] for shapes in coming]
