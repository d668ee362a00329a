"""`Source`: the interface of everything that documents are read from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openk2.record import DataError


@dataclass(frozen=True)
class TextDocument:
    """One document. name: where it stands, the same in every run, such as `books.jsonl:17`."""

    name: str
    text: str


@dataclass(frozen=True)
class SourceSpan:
    """The documents of `place` that one worker reads.

    begin, end: in the source's own unit (bytes of a JSONL file, row groups, rows).
    first: the number of the first document, for names and messages. size: bytes of text, about.
    """

    place: str
    begin: int
    end: int
    first: int
    size: int


class Source(Protocol):
    """Documents in a fixed order. Workers get it by pickle; it opens nothing before it is asked."""

    def places(self) -> list[str]:
        """The files, or whatever holds documents, in order. Raises DataError if there are none."""

    def state(self, place: str) -> str:
        """What changes when the content of `place` changes; cheap to ask for."""

    def cut(self, place: str, size: int) -> list[SourceSpan]:
        """`place` in spans of about `size` bytes of text. Raises DataError for damage it meets."""

    def read(self, span: SourceSpan) -> Iterator[TextDocument]:
        """The documents of a span. Raises DataError naming file, document and what is wrong."""


def find_files(path: Path, pattern: str) -> list[str]:
    """`path` if it is a file, else the files below it that match `pattern`, sorted."""
    if path.is_file():
        return [str(path)]
    if not path.is_dir():
        raise DataError(f"{path} does not exist: name a file or a folder")
    found = sorted(file.as_posix() for file in path.glob(pattern) if file.is_file())
    if not found:
        raise DataError(f"{path} holds no file that matches {pattern!r}: set `files` of the source")
    return found


def file_state(place: str) -> str:
    """Size and time of change of a file."""
    status = Path(place).stat()
    return f"{status.st_size} bytes, {status.st_mtime_ns}"


def text_field(row: dict[str, Any], field: str, name: str) -> str:
    """The string in `field` of a row. Raises DataError naming the row."""
    value = row.get(field)
    if not isinstance(value, str):
        held = ", ".join(sorted(row)) or "none"
        raise DataError(f"{name} has no string field {field!r} (its fields: {held})")
    return value
