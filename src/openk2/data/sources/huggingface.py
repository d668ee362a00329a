"""Hugging Face datasets, by hub name or local folder. Needs `datasets` (`openk2[data]`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.data.sources.source import SourceSpan, TextDocument
from openk2.record import DataError


@dataclass(frozen=True)
class HuggingFaceSource:
    """The `field` column of a split of `dataset`: a name on the hub, or a folder.

    A folder is either one that `save_to_disk` wrote or one of data files that `load_dataset` reads.
    subset: the dataset's configuration, where it has several.
    """

    dataset: str
    field: str = "text"
    split: str = "train"
    subset: str | None = None

    def places(self) -> list[str]:
        """The dataset itself: it is one table."""
        return [self.dataset]

    def state(self, place: str) -> str:
        """The fingerprint that `datasets` gives this table."""
        return str(self._open()._fingerprint)

    def cut(self, place: str, size: int) -> list[SourceSpan]:
        """Spans of equally many rows, from the mean size of a row."""
        table = self._open()
        total = len(table)
        if total == 0:
            return []
        row_bytes = max(1, int(table.data.nbytes) // total)
        rows = max(1, size // row_bytes)
        begins = range(0, total, rows)
        return [
            SourceSpan(place, begin, min(begin + rows, total), begin, row_bytes * rows)
            for begin in begins
        ]

    def read(self, span: SourceSpan) -> Iterator[TextDocument]:
        """The texts of a span's rows, memory-mapped."""
        table = self._open()
        for number in range(span.begin, span.end):
            value = table[number][self.field]
            if not isinstance(value, str):
                raise DataError(
                    f"{self.dataset} row {number + 1}: column {self.field!r} is "
                    f"{type(value).__name__}, not a string"
                )
            yield TextDocument(f"{self.dataset}:{number + 1}", value)

    def _open(self) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise DataError(
                "Hugging Face datasets need the datasets library: pip install 'openk2[data]'"
            ) from error
        folder = Path(self.dataset)
        saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
        try:
            if saved:
                table = datasets.load_from_disk(self.dataset)
                if isinstance(table, datasets.DatasetDict):
                    table = table[self.split]
            else:
                table = datasets.load_dataset(self.dataset, self.subset, split=self.split)
        except KeyError as error:
            raise DataError(f"{self.dataset} has no split {self.split!r}") from error
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"dataset {self.dataset} cannot be loaded: {error}") from error
        if self.field not in table.column_names:
            held = ", ".join(table.column_names)
            raise DataError(f"{self.dataset} has no column {self.field!r} (its columns: {held})")
        return table.select_columns([self.field])
