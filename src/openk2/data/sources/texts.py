"""The texts of one file, whatever its kind: a plain file is one text, a JSONL file one a row."""

from collections.abc import Iterator
from pathlib import Path

from openk2.data.sources.jsonl import numbered_rows
from openk2.data.sources.source import SourceSpan, text_field
from openk2.data.sources.text import TextSource

COMPRESSED = (".xz", ".gz", ".zst")


def is_plain_text(path: Path) -> bool:
    """Whether the name says plain text: `.txt` or `.md`, compressed or not."""
    name = path.with_suffix("") if path.suffix in COMPRESSED else path
    return name.suffix in (".txt", ".md")


def read_texts(path: Path) -> Iterator[str]:
    """The whole of a plain text file, or the `text` of each row of a JSONL file.

    Raises DataError naming the file and line.
    """
    if is_plain_text(path):
        for text in TextSource(path).read(SourceSpan(str(path), 0, 1, 0, 0)):
            yield text.text
        return
    for number, row in numbered_rows(path):
        yield text_field(row, "text", f"{path} line {number}")
