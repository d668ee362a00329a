"""Packed rows on disk, memory-mapped: one file, or a folder of shards with a manifest.

Opening checks what is cheap: that every shard of the manifest is there with its size. A shard's
shape is checked when its first row is read, its digest by `verify_rows`.
"""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from openk2.data.manifest import Manifest, Shard
from openk2.data.packing import TOKENIZER, PackedRows, Row
from openk2.data.role import Role
from openk2.record import DataError, file_sha256

COLUMNS = {"tokens": ("I32",), "segments": ("I16",), "learned": ("U8", "BOOL")}
OPEN_SHARDS = 256
REMEDY = "copy it again, or remove the corpus's folder and run its `openk2 data corpus` again"


class Rows(Protocol):
    """R rows of L tokens, in memory or not."""

    def __len__(self) -> int: ...

    @property
    def length(self) -> int:
        """Tokens a row."""

    def row(self, index: int) -> Row:
        """tokens int32 [L], segments int16 [L], learned uint8 [L] (a `Role` each) of a row.

        Raises DataError for a role that there is not.
        """

    def largest_id(self) -> int:
        """The largest token id."""

    @property
    def tokenizer_sha256(self) -> str | None:
        """Digest of the tokenizer that made the ids (`Tokenizer.digest`), where it is known."""

    def content_sha256(self) -> str:
        """Digest of all rows: another one means other rows, or the same in another order."""


class RowFile:
    """The rows of one safetensors file. Raises DataError if it is none."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise DataError(f"{path} does not exist: make it with `openk2 data pack`")
        try:
            file: Any = safe_open(path, framework="np")
            self._columns: list[Any] = [file.get_slice(name) for name in COLUMNS]
            self._metadata: dict[str, str] = file.metadata() or {}
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path} is not a file of packed rows: {error}") from error
        shapes = [column.get_shape() for column in self._columns]
        dtypes = [column.get_dtype() for column in self._columns]
        fits = len(shapes[0]) == 2 and all(shape == shapes[0] for shape in shapes)
        known = all(map(tuple.__contains__, COLUMNS.values(), dtypes))
        if not fits or not known or shapes[0][0] == 0:
            raise DataError(f"{path} is not a file of packed rows: make it with `openk2 data pack`")
        self._path, (self._rows, self._length) = path, shapes[0]

    def __len__(self) -> int:
        return int(self._rows)

    @property
    def length(self) -> int:
        """Tokens a row."""
        return int(self._length)

    def row(self, index: int) -> Row:
        """Tokens, segments and learned of a row, each [L]."""
        tokens, segments, learned = (column[index] for column in self._columns)
        return tokens, segments, self._roles(learned)

    def largest_id(self) -> int:
        """The largest token id; reads the file."""
        tokens, end = self._columns[0], len(self)
        return max(int(tokens[i : min(i + 1024, end)].max()) for i in range(0, end, 1024))

    @property
    def tokenizer_sha256(self) -> str | None:
        """Digest of the tokenizer that made the ids; None if the file does not tell."""
        return self._metadata.get(TOKENIZER)

    def content_sha256(self) -> str:
        """Digest of the file; reads it."""
        return file_sha256(self._path)

    def read(self) -> PackedRows:
        """All rows, in memory."""
        tokens, segments, learned = (np.asarray(column[:]) for column in self._columns)
        return PackedRows(tokens, segments, self._roles(learned))

    def _roles(self, learned: NDArray[Any]) -> NDArray[np.uint8]:
        """The column as roles: older files say only whether a token is learned."""
        roles: NDArray[np.uint8] = learned.view(np.uint8)
        if roles.max() > max(Role):
            raise DataError(
                f"{self._path} holds token role {roles.max()}, roles are 0 to {max(Role)}: "
                "pack it again"
            )
        return roles


class RowFolder:
    """The rows of a folder's shards, one after the other, as its manifest tells.

    Raises DataError if a shard is absent or has another size.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, Manifest.load(folder)
        for shard in self.manifest.shards:
            check_size(folder, shard)
        self._ends = list(accumulate(shard.rows for shard in self.manifest.shards))
        self._open: OrderedDict[int, RowFile] = OrderedDict()

    def __len__(self) -> int:
        return self._ends[-1]

    @property
    def length(self) -> int:
        """Tokens a row."""
        return self.manifest.length

    def row(self, index: int) -> Row:
        """Tokens, segments and learned of a row, each [L]."""
        number = bisect_right(self._ends, index)
        begin = self._ends[number - 1] if number else 0
        return self._shard(number).row(index - begin)

    def largest_id(self) -> int:
        """The largest token id, as the manifest tells."""
        return max(shard.largest_id for shard in self.manifest.shards)

    @property
    def tokenizer_sha256(self) -> str:
        """Digest of the tokenizer that made the ids, as the manifest tells."""
        return self.manifest.tokenizer_sha256

    def content_sha256(self) -> str:
        """Digest of the manifest's digests of the shards; no shard is read."""
        digests = "\n".join(shard.sha256 for shard in self.manifest.shards)
        return hashlib.sha256(digests.encode()).hexdigest()

    def _shard(self, number: int) -> RowFile:
        """A shard, opened; of those opened before, the longest unused is closed."""
        if number not in self._open:
            shard = self.manifest.shards[number]
            rows = RowFile(self.folder / shard.file)
            if (len(rows), rows.length) != (shard.rows, self.length):
                raise DataError(
                    f"{self.folder / shard.file} has {len(rows)} rows of {rows.length} tokens, "
                    f"its manifest says {shard.rows} of {self.length}: {REMEDY}"
                )
            self._open[number] = rows
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(number)
        return self._open[number]


def open_rows(path: Path) -> RowFile | RowFolder:
    """A file of packed rows, or a folder of them that `openk2 data corpus` made."""
    return RowFolder(path) if path.is_dir() else RowFile(path)


@dataclass(frozen=True)
class Checked:
    """A shard whose content was read. fault: the error, or None."""

    path: Path
    shard: Shard
    fault: str | None


def verify_rows(folder: Path) -> Iterator[Checked]:
    """Compare every shard of a folder with the manifest's digest, one after the other."""
    for shard in Manifest.load(folder).shards:
        path, fault = folder / shard.file, None
        try:
            check_size(folder, shard)
            if file_sha256(path) != shard.sha256:
                fault = f"{path} is damaged: its digest is not the manifest's"
        except DataError as error:
            fault = str(error)
        yield Checked(path, shard, fault)


def check_size(folder: Path, shard: Shard) -> None:
    """Raise DataError unless the shard is there with the manifest's size."""
    path = folder / shard.file
    if not path.is_file():
        raise DataError(f"{path} is missing: {REMEDY}")
    size = path.stat().st_size
    if size != shard.bytes:
        raise DataError(f"{path} has {size} bytes, its manifest says {shard.bytes}: {REMEDY}")
