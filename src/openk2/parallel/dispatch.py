"""Expert parallel: send rows to the ranks that hold their experts, and the results back.

Rank r of n holds experts r E/n .. (r+1) E/n - 1, so rows grouped by expert are grouped by rank
already: a message of counts, one of rows and one of their shares there, one of weighed results
back. The backward pass sends the gradients the same ways (report 2.4).
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from openk2.model import Arrived, permute


@dataclass(frozen=True)
class AllToAll:
    """The `Dispatch` among the ranks of `group`, each of which holds as many experts.

    Every rank of the group must call it in each pass, with rows or without.
    """

    group: dist.ProcessGroup

    def __call__(self, rows: Tensor, counts: Tensor) -> Arrived:
        """See `Dispatch`."""
        ranks = self.group.size()
        arriving = torch.empty_like(counts)
        dist.all_to_all_single(arriving, counts, group=self.group)
        table = torch.stack((counts, arriving)).view(2, ranks, -1)  # [which, rank, its experts]
        leaving, coming = table.sum(-1).tolist()

        def there(values: Tensor) -> Tensor:
            return travel(values, coming, leaving, self.group)

        def home(results: Tensor) -> Tensor:
            # As narrow as the rows came, though they were weighed in float32.
            return travel(results.to(rows.dtype), leaving, coming, self.group)

        received = there(rows)
        per_expert = arriving.view(ranks, -1).sum(0).tolist()
        if not len(received):
            # Ranks that share a stack sum its gradients in one message, which all of them must
            # send: a row of zeros gives each stack one, of zeros.
            return Arrived(
                with_zeros(received),
                [1, *per_expert[1:]],
                along=lambda values: with_zeros(there(values)),
                back=lambda results: home(results[:0]),
            )
        # They come rank by rank; the experts want them expert by expert.
        expert = torch.arange(table.shape[-1], device=rows.device).repeat(ranks)
        order = expert.repeat_interleave(arriving).argsort(stable=True)
        inverse = order.argsort()
        return Arrived(
            permute(received, order, inverse),
            per_expert,
            along=lambda values: permute(there(values), order, inverse),
            back=lambda results: home(permute(results, inverse, order)),
        )


def with_zeros(nothing: Tensor) -> Tensor:
    """A row of zeros after [0, D]."""
    return torch.cat((nothing, nothing.new_zeros(1, *nothing.shape[1:])))


class Travel(torch.autograd.Function):
    """Rows to other ranks; backward, their gradients on the same ways back."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, coming: list[int], leaving: list[int], group: dist.ProcessGroup
    ) -> Tensor:
        """rows [sum(leaving), D], `leaving[r]` of them for rank r -> [sum(coming), D]."""
        ctx.ways = coming, leaving, group
        return exchange(rows, coming, leaving, group)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """gradient [sum(coming), D] -> [sum(leaving), D]."""
        coming, leaving, group = ctx.ways
        return exchange(gradient, leaving, coming, group), None, None, None


def exchange(
    rows: Tensor, coming: list[int], leaving: list[int], group: dist.ProcessGroup
) -> Tensor:
    """The message itself: rows [sum(leaving), ...] -> rows [sum(coming), ...]."""
    result = rows.new_empty(sum(coming), *rows.shape[1:])
    dist.all_to_all_single(result, rows.contiguous(), coming, leaving, group=group)
    return result


def travel(rows: Tensor, coming: list[int], leaving: list[int], group: dist.ProcessGroup) -> Tensor:
    """`Travel`, typed: rows [sum(leaving), ...] -> rows [sum(coming), ...]."""
    result: Tensor = Travel.apply(rows, coming, leaving, group)  # type: ignore[no-untyped-call]
    return result
