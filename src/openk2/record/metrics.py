"""JSONL metrics: one object a line, appended as it happens."""

import json
from pathlib import Path
from types import TracebackType
from typing import Any


class MetricsLog:
    """Appends rows to a JSONL file; on opening, drops rows past `keep_below`.

    keep_below: a resumed run repeats the steps since its checkpoint, so rows whose `step` is at or
    past it are removed, and each step stands in the file once.
    """

    def __init__(self, path: Path, keep_below: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [row for row in read_metrics(path) if row["step"] < keep_below]
        self.file = path.open("w", encoding="utf-8")
        for row in kept:
            self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        """Append one row and flush it."""
        self.file.write(json.dumps(row) + "\n")
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


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Every whole row; a last line cut by a crash is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
