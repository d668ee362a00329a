"""A benchmark's files as records: JSON, JSON Lines (gzipped too), CSV, parquet, Arrow."""

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openk2.record import DataError

SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".csv", ".parquet", ".arrow")
# The hub keeps descriptions of a data set beside it.
DESCRIPTIONS = ("dataset_info", "state.json")
MAX_FIELD = min(sys.maxsize, 2**31 - 1)  # of a CSV file, in characters


class Record(dict[str, Any]):
    """One row of a file. `place` is the file and the line, for errors."""

    def __init__(self, fields: dict[str, Any], place: str) -> None:
        super().__init__(fields)
        self.place = place

    def one_of(self, *names: str) -> Any:
        """The first of these fields that the record has. Raises DataError if it has none."""
        for name in names:
            if name in self:
                return self[name]
        wanted = " or ".join(repr(name) for name in names)
        raise DataError(f"{self.place}: no field {wanted}, only {', '.join(map(repr, self))}")

    def text(self, *names: str) -> str:
        """`one_of` as a string that is not blank."""
        value = self.one_of(*names)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
            raise DataError(f"{self.place}: {names[0]!r} is {value!r}, must be text")
        return str(value)

    def texts(self, *names: str) -> list[str]:
        """`one_of` as a list of strings that is not empty."""
        value = self.one_of(*names)
        if not isinstance(value, list) or not value:
            raise DataError(f"{self.place}: {names[0]!r} is {value!r}, must be a list of texts")
        return [str(item) for item in value]


def find(folder: Path, *patterns: str) -> list[Path]:
    """Files of a readable format at any depth, sorted by path. Raises DataError for none."""
    found = {path for pattern in patterns for path in folder.rglob(pattern)}
    files = sorted(
        path
        for path in found
        if path.name.endswith(SUFFIXES)
        and path.is_file()
        and not path.name.startswith(DESCRIPTIONS)
    )
    if not files:
        raise DataError(f"{folder}: no file matches {' or '.join(patterns)}")
    return files


def read(folder: Path, *patterns: str) -> Iterator[Record]:
    """The records of every file that matches, in the files' order."""
    for path in find(folder, *patterns):
        yield from read_file(path)


def read_file(path: Path) -> Iterator[Record]:
    """The records of one file. Raises DataError by file and line, and for a file without rows."""
    if path.suffix == ".csv":
        rows = _read_csv(path)
    elif path.suffix in (".parquet", ".arrow"):
        rows = _read_columns(path)
    else:
        rows = _read_json(path)
    first = next(rows, None)
    if first is None:
        raise DataError(f"{path}: no rows")
    yield first
    yield from rows


def _read_json(path: Path) -> Iterator[Record]:
    """An array in one file, or an object a line, whatever the file's suffix says."""
    text = _text(path)
    if text.lstrip().startswith("["):
        for index, row in enumerate(_parsed(text, str(path))):
            yield _record(row, f"{path}: row {index}")
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = f"{path}:{number}"
            yield _record(_parsed(line, place), place)


def _text(path: Path) -> str:
    """The file's text, unpacked if it is gzipped."""
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: {error}") from None


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DataError(f"{place}: not JSON: {error}") from None


def _record(row: Any, place: str) -> Record:
    if not isinstance(row, dict):
        raise DataError(f"{place}: {type(row).__name__}, must be an object")
    return Record(row, place)


def _read_csv(path: Path) -> Iterator[Record]:
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{place}: {len(row)} fields, the header has {rows.fieldnames}")
            yield Record(row, place)


def _read_columns(path: Path) -> Iterator[Record]:
    """Parquet, or the stream of Arrow's batches that `datasets` saves."""
    try:
        from pyarrow import ArrowException, ipc, parquet
    except ImportError:
        raise DataError(f"{path}: needs pyarrow: pip install 'openk2[data]'") from None
    try:
        if path.suffix == ".parquet":
            table = parquet.ParquetFile(path).read()
        else:
            with path.open("rb") as file:
                table = ipc.open_stream(file).read_all()
        for number, row in enumerate(table.to_pylist()):
            yield Record(row, f"{path}: row {number}")
    except ArrowException as error:
        raise DataError(f"{path}: not {path.suffix[1:]}: {error}") from None
