"""Plain text: a file is a document."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openk2.data.sources.source import SourceSpan, TextDocument, file_state, find_files
from openk2.data.sources.stream import open_stream
from openk2.record import DataError


@dataclass(frozen=True)
class TextSource:
    """One UTF-8 file, or the files of a folder that match `files`; .xz, .gz and .zst are opened."""

    path: Path
    files: str = "**/*.txt"

    def places(self) -> list[str]:
        """The files. Raises DataError if there are none."""
        return find_files(self.path, self.files)

    def state(self, place: str) -> str:
        """Size and time of change."""
        return file_state(place)

    def cut(self, place: str, size: int) -> list[SourceSpan]:
        """The whole file: a document is never cut."""
        bytes_on_disk = Path(place).stat().st_size
        return [SourceSpan(place, 0, 1, 0, bytes_on_disk)]

    def read(self, span: SourceSpan) -> Iterator[TextDocument]:
        """The file's text, line ends as they are."""
        with open_stream(Path(span.place)) as stream:
            content = stream.read()
        try:
            yield TextDocument(span.place, content.decode("utf-8"))
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise DataError(f"{span.place} line {line} is not UTF-8: {error.reason}") from error
