"""Which keys a stretch of queries can see at all, so that attention skips the rest.

With packed documents most of a row's query-key square is masked: at 300-token documents in
1,024-token rows seven eighths of it. Queries go in blocks; a block meets the keys from the start
of its first query's document to its own end. The mask still decides inside that rectangle.
"""

from dataclasses import dataclass

from torch import Tensor

BLOCK = 128


@dataclass(frozen=True)
class Span:
    """Queries start:end of one row meet keys first:end; no query of them sees any other key."""

    start: int
    end: int
    first: int


def document_spans(segments: Tensor, block: int = BLOCK) -> list[list[Span]]:
    """Row by row, spans that cover every query of packed rows `segments` [B, T] in order."""
    rows = []
    for row in segments.tolist():
        starts = [0] * len(row)
        for index in range(1, len(row)):
            starts[index] = starts[index - 1] if row[index] == row[index - 1] else index
        edges = range(0, len(row), block)
        rows.append([Span(q, min(q + block, len(row)), starts[q]) for q in edges])
    return rows
