"""Documents -> rows of one length, with document masks.

A token sees only its own document (`segments`), and counts in the loss only where `learned` says
so. Rows are stored as one safetensors file, read back memory-mapped.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from openk2.data.sources import DataError
from openk2.record.atomic import write_file_atomically

MAX_SEGMENT = torch.iinfo(torch.int16).max
DTYPES = (torch.int32, torch.int16, torch.bool)


@dataclass(frozen=True)
class Document:
    """Token ids and, for each, whether the model is to learn to write it."""

    ids: Sequence[int]
    learned: Sequence[bool]


@dataclass(frozen=True)
class PackedRows:
    """R rows of L tokens. Padding has segment -1 and is never learned.

    tokens int32 [R, L]; segments int16 [R, L], 0, 1, 2, ... within a row; learned bool [R, L].
    """

    tokens: Tensor
    segments: Tensor
    learned: Tensor

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def save(self, path: Path) -> None:
        """Write beside and rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {"tokens": self.tokens, "segments": self.segments, "learned": self.learned}
        write_file_atomically(path, save(tensors))

    @classmethod
    def load(cls, path: Path) -> "PackedRows":
        """Memory-map a file that `save` wrote. Raises DataError naming it."""
        if not path.exists():
            raise DataError(f"{path} does not exist: make it with `openk2 data pack`")
        try:
            with safe_open(path, framework="pt") as file:
                rows = cls(*(file.get_tensor(key) for key in ("tokens", "segments", "learned")))
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path} is not a file of packed rows: {error}") from error
        shapes = {tuple(column.shape) for column in (rows.tokens, rows.segments, rows.learned)}
        dtypes = rows.tokens.dtype, rows.segments.dtype, rows.learned.dtype
        if len(shapes) > 1 or rows.tokens.ndim != 2 or dtypes != DTYPES or not len(rows):
            raise DataError(f"{path} is not a file of packed rows: make it with `openk2 data pack`")
        return rows


def pack_stream(documents: Iterable[Document], length: int, pad: int) -> PackedRows:
    """Fill rows one after the other, splitting documents at row ends: for running text."""
    rows = RowWriter(length, pad)
    for document in documents:
        start = 0
        while start < len(document.ids):
            if rows.room() == 0:
                rows.close()
            end = start + rows.room()
            rows.add(document.ids[start:end], document.learned[start:end])
            start = end
    return rows.finish()


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
        self.tokens: list[np.ndarray] = []
        self.segments: list[np.ndarray] = []
        self.learned: list[np.ndarray] = []
        self.open()

    def open(self) -> None:
        """Begin an empty row."""
        self.row = (
            np.full(self.length, self.pad, np.int32),
            np.full(self.length, -1, np.int16),
            np.zeros(self.length, np.bool_),
        )
        self.used = self.segment = 0

    def room(self) -> int:
        """Tokens that still fit into the open row."""
        return self.length - self.used

    def add(self, ids: Sequence[int], learned: Sequence[bool]) -> None:
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
        columns = (self.tokens, self.segments, self.learned)
        return PackedRows(*(torch.from_numpy(np.stack(column)) for column in columns))
