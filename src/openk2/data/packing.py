"""Documents -> rows of one length, with document masks.

A token sees only its own document (`segments`), and counts in the loss as its `Role` in `learned`
says. Rows are stored as safetensors; `rows` reads them back memory-mapped. No torch here: workers
that pack a corpus start without it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from openk2.record import DataError, write_file_atomically

TOKENIZER = "tokenizer_sha256"  # in a file's metadata
MAX_SEGMENT = np.iinfo(np.int16).max

Row = tuple[NDArray[np.int32], NDArray[np.int16], NDArray[np.uint8]]
Roles = Sequence[int] | NDArray[np.uint8] | NDArray[np.bool_]


@dataclass(frozen=True)
class Document:
    """Token ids and, for each, the `Role` in which the model learns to write it.

    True is STRUCTURE, False NOT_LEARNED.
    """

    ids: Sequence[int] | NDArray[np.int32]
    learned: Roles


@dataclass
class CutCount:
    """How many documents passed, and how many of them `pack_whole` cuts at `length` tokens."""

    length: int
    documents: int = 0
    cut: int = 0
    longest: int = 0

    def counted(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents, each counted."""
        for document in documents:
            size = len(document.ids)
            self.documents += 1
            self.cut += size > self.length
            self.longest = max(self.longest, size)
            yield document


@dataclass(frozen=True)
class PackedRows:
    """R rows of L tokens, in memory. Padding has segment -1 and is never learned.

    tokens int32 [R, L]; segments int16 [R, L], 0, 1, 2, ... within a row; learned uint8 [R, L], a
    `Role` each.
    """

    tokens: NDArray[np.int32]
    segments: NDArray[np.int16]
    learned: NDArray[np.uint8]

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    @property
    def length(self) -> int:
        """Tokens a row."""
        return int(self.tokens.shape[1])

    def row(self, index: int) -> Row:
        """Tokens, segments and learned of a row, each [L]."""
        return self.tokens[index], self.segments[index], self.learned[index]

    def largest_id(self) -> int:
        """The largest token id."""
        return int(self.tokens.max())

    def content(self, tokenizer_sha256: str | None = None) -> bytes:
        """The file that `save` writes. tokenizer_sha256: of the tokenizer that made the ids."""
        metadata = {TOKENIZER: tokenizer_sha256} if tokenizer_sha256 else None
        columns = {"tokens": self.tokens, "segments": self.segments, "learned": self.learned}
        # safetensors writes the memory under a view, not the view.
        whole = {name: np.ascontiguousarray(column) for name, column in columns.items()}
        return save(whole, metadata)

    def save(self, path: Path, tokenizer_sha256: str | None = None) -> None:
        """Write beside and rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file_atomically(path, self.content(tokenizer_sha256))


def pack_stream(documents: Iterable[Document], length: int, pad: int) -> PackedRows:
    """Fill rows one after the other, splitting documents at row ends: for running text."""
    rows = RowWriter(length, pad)
    stream_rows(documents, rows)
    return rows.finish()


def stream_rows(documents: Iterable[Document], rows: "RowWriter") -> None:
    """Fill `rows` one after the other."""
    for document in documents:
        start = 0
        while start < len(document.ids):
            if rows.room() == 0:
                rows.close()
            end = start + rows.room()
            rows.add(document.ids[start:end], document.learned[start:end])
            start = end


def pack_whole(
    documents: Iterable[Document], length: int, pad: int, open_rows: int = 64
) -> PackedRows:
    """Keep every document in one row, the fullest of the open rows that has room for it.

    A document longer than a row keeps its beginning. Best fit over a bounded set of open rows keeps
    the order of documents roughly and leaves little padding.
    """
    finished: list[list[Document]] = []
    open_bins: list[tuple[int, list[Document]]] = []
    for document in documents:
        size = min(len(document.ids), length)
        if size == 0:
            continue
        fitting = [b for b in open_bins if b[0] + size <= length]
        chosen = max(fitting, key=lambda b: b[0], default=(0, []))
        if fitting:
            open_bins.remove(chosen)
        open_bins.append((chosen[0] + size, [*chosen[1], document]))
        if len(open_bins) > open_rows:
            fullest = max(open_bins, key=lambda b: b[0])
            open_bins.remove(fullest)
            finished.append(fullest[1])
    rows = RowWriter(length, pad)
    for members in [*finished, *(b[1] for b in open_bins)]:
        for document in members:
            rows.add(document.ids[:length], document.learned[:length])
        rows.close()
    return rows.finish()


class RowWriter:
    """Collects rows."""

    def __init__(self, length: int, pad: int) -> None:
        self.length, self.pad = length, pad
        self.tokens: list[NDArray[np.int32]] = []
        self.segments: list[NDArray[np.int16]] = []
        self.learned: list[NDArray[np.uint8]] = []
        self.open()

    def open(self) -> None:
        """Begin an empty row."""
        self.row = (
            np.full(self.length, self.pad, np.int32),
            np.full(self.length, -1, np.int16),
            np.zeros(self.length, np.uint8),
        )
        self.used = self.segment = 0

    def room(self) -> int:
        """Tokens that still fit into the open row."""
        return self.length - self.used

    def add(
        self,
        ids: Sequence[int] | NDArray[np.int32],
        learned: Roles,
    ) -> None:
        """Append one document, or the part of it that the caller cut to fit."""
        if self.segment > MAX_SEGMENT:
            raise DataError(
                f"more than {self.segment} documents in a row of {self.length}: pack shorter rows"
            )
        place = slice(self.used, self.used + len(ids))
        tokens, segments, learned_here = self.row
        tokens[place], segments[place], learned_here[place] = ids, self.segment, learned
        self.used += len(ids)
        self.segment += 1

    def close(self) -> None:
        """Finish the open row, unless it is empty."""
        if self.used:
            tokens, segments, learned = self.row
            self.tokens.append(tokens)
            self.segments.append(segments)
            self.learned.append(learned)
            self.open()

    def finish(self) -> PackedRows:
        """All rows. Raises DataError if there are none."""
        self.close()
        if not self.tokens:
            raise DataError("no documents to pack: the source is empty")
        return PackedRows(np.stack(self.tokens), np.stack(self.segments), np.stack(self.learned))
