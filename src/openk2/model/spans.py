"""Which keys a block of queries can see at all, so that attention skips the others.

With packed documents most of a row's query-key square is masked: with 300-token documents in
1,024-token rows, seven eighths of it. A block of queries meets the keys from the start of its first
query's document to its own end; the mask decides inside that rectangle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SPAN_BLOCK = 128


@dataclass(frozen=True)
class Span:
    """Queries start:end of one row meet keys first:end; no query of them sees any other key."""

    start: int
    end: int
    first: int


def document_spans(segments: Tensor, block: int = SPAN_BLOCK) -> list[list[Span]]:
    """Row by row, spans that cover every query of packed rows `segments` [B, T] in order."""
    rows = []
    for row in segments.tolist():
        starts = [0] * len(row)
        for index in range(1, len(row)):
            starts[index] = starts[index - 1] if row[index] == row[index - 1] else index
        edges = range(0, len(row), block)
        rows.append([Span(q, min(q + block, len(row)), starts[q]) for q in edges])
    return rows


class Windows(torch.autograd.Function):
    """See `windows`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Sequence[tuple[int, int, int]]) -> tuple[Tensor, ...]:
        """Views [H, end - start, D] of x [B, H, T, D], one a place (row, start, end)."""
        ctx.places, ctx.shape = places, x.shape
        return tuple(x[row, :, start:end] for row, start, end in places)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The sum [B, H, T, D] of the windows' gradients, each where it belongs."""
        total = gradients[0].new_zeros(ctx.shape)
        for (row, start, end), gradient in zip(ctx.places, gradients, strict=True):
            total[row, :, start:end] += gradient
        return total, None


def windows(x: Tensor, places: Sequence[tuple[int, int, int]]) -> tuple[Tensor, ...]:
    """x [B, H, T, D] -> x[row, :, start:end], [H, t, D], for each (row, start, end).

    Slicing does the same, but its backward fills a tensor as large as x for every slice.
    """
    result: tuple[Tensor, ...] = Windows.apply(x, places)  # type: ignore[no-untyped-call]
    return result
