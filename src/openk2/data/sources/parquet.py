"""Parquet: a document a row, its text in a column. Needs pyarrow (`openk2[data]`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.data.sources.source import SourceSpan, TextDocument, file_state, find_files
from openk2.record import DataError

ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class ParquetSource:
    """The `field` column of one file, or of the files of a folder that match `files`."""

    path: Path
    field: str = "text"
    files: str = "**/*.parquet"

    def places(self) -> list[str]:
        """The files. Raises DataError if there are none."""
        return find_files(self.path, self.files)

    def state(self, place: str) -> str:
        """Size and time of change."""
        return file_state(place)

    def cut(self, place: str, size: int) -> list[SourceSpan]:
        """Spans of whole row groups, which is what parquet can read apart."""
        file = self._open(place)
        spans: list[SourceSpan] = []
        begin = first = rows = held = 0
        for group in range(file.metadata.num_row_groups):
            metadata = file.metadata.row_group(group)
            held += self._bytes(metadata)
            rows += metadata.num_rows
            if held >= size or group == file.metadata.num_row_groups - 1:
                spans.append(SourceSpan(place, begin, group + 1, first, held))
                begin, first, held = group + 1, rows, 0
        return spans

    def read(self, span: SourceSpan) -> Iterator[TextDocument]:
        """The texts of a span's rows, a few hundred in memory at once."""
        file = self._open(span.place)
        number = span.first
        groups = list(range(span.begin, span.end))
        try:
            for batch in file.iter_batches(ROWS_AT_ONCE, groups, columns=[self.field]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    if not isinstance(value, str):
                        raise DataError(
                            f"{span.place} row {number}: column {self.field!r} is "
                            f"{type(value).__name__}, not a string"
                        )
                    yield TextDocument(f"{span.place}:{number}", value)
        except OSError as error:
            raise DataError(f"{span.place} is damaged: {error}; copy it again") from error

    def _open(self, place: str) -> Any:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as error:
            raise DataError("parquet needs pyarrow: pip install 'openk2[data]'") from error
        try:
            file = parquet.ParquetFile(place)
        except (OSError, pyarrow.ArrowInvalid) as error:
            raise DataError(f"{place} is not a parquet file: {error}; copy it again") from error
        if self.field not in file.schema_arrow.names:
            held = ", ".join(file.schema_arrow.names)
            raise DataError(f"{place} has no column {self.field!r} (its columns: {held})")
        return file

    def _bytes(self, row_group: Any) -> int:
        """Uncompressed bytes of the text column."""
        columns = (row_group.column(i) for i in range(row_group.num_columns))
        return sum(
            int(column.total_uncompressed_size)
            for column in columns
            if column.path_in_schema == self.field
        )
