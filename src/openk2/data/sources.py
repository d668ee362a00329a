"""Reading text and conversations: JSONL, plain or xz-compressed."""

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class DataError(ValueError):
    """Data that cannot be used; the message names the file, the line and what is wrong."""


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Each line of a .jsonl or .jsonl.xz file as an object. Raises DataError naming the line."""
    if not path.exists():
        raise DataError(f"{path} does not exist: name a .jsonl or .jsonl.xz file")
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} line {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path} line {number} is not a JSON object")
        yield row


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, decompressed if its name ends in .xz."""
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        try:
            yield from lines
        except (EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read to its end: {error}; copy it again") from error


def read_texts(path: Path) -> Iterator[str]:
    """The `text` of each row."""
    for number, row in enumerate(read_rows(path), 1):
        if not isinstance(row.get("text"), str):
            raise DataError(f"{path} row {number} has no string field 'text'")
        yield row["text"]


def read_conversations(path: Path) -> Iterator[dict[str, Any]]:
    """Each row's conversation: `messages`, and `tools` if any are declared."""
    for number, row in enumerate(read_rows(path), 1):
        if not isinstance(row.get("messages"), list):
            raise DataError(f"{path} row {number} has no list field 'messages'")
        yield row
