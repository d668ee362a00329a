"""JSONL metrics: one object a line, appended as it happens."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from openk2.record.atomic import write_file_atomically


class MetricsLog:
    """Appends rows to a JSONL file; on opening, drops rows past `keep_below`.

    keep_below: a resumed run repeats the steps since its checkpoint, so rows whose `step` is at or
    past it are removed, and each step is in the file once.
    """

    def __init__(self, path: Path, keep_below: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_metrics(path) if row["step"] < keep_below]
        write_file_atomically(path, "".join(map(line, kept)))
        self.file = path.open("a", encoding="utf-8")

    def write(self, row: dict[str, Any]) -> None:
        """Append one row and flush it."""
        self.file.write(line(row))
        self.file.flush()

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()


def line(row: dict[str, Any]) -> str:
    """One row as the file holds it."""
    return json.dumps(row) + "\n"


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole row; a last line cut by a crash is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(text) for text in lines[:-1] if text]
