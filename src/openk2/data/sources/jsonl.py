"""JSONL: an object a line, plain or compressed (.xz, .gz, .zst)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.chat import RenderError, render
from openk2.data.sources.source import SourceSpan, TextDocument, file_state, find_files, text_field
from openk2.data.sources.stream import BLOCK, open_stream, skip
from openk2.record import DataError

# Fields of messages that a prompt does not show, and what to do about them.
IGNORED = {
    "function_call": "is not read: write it as tool_calls",
    "refusal": "is not read: write it as content",
}
THOUGHTS = ("reasoning_content", "reasoning", "thinking")
NO_THOUGHTS = "cannot be learned, K2-Instruct's format has no thoughts: leave it out"


@dataclass(frozen=True)
class JsonlSource:
    """The `field` of each line of one file, or of the files of a folder that match `files`."""

    path: Path
    field: str = "text"
    files: str = "**/*.jsonl*"

    def places(self) -> list[str]:
        """The files. Raises DataError if there are none."""
        return find_files(self.path, self.files)

    def state(self, place: str) -> str:
        """Size and time of change."""
        return file_state(place)

    def cut(self, place: str, size: int) -> list[SourceSpan]:
        """Spans of whole lines; the file is read through once, to count them.

        A compressed file is decompressed by each span up to its end: a file of n spans n / 2 times.
        """
        spans: list[SourceSpan] = []
        begin = position = first = lines = 0
        with open_stream(Path(place)) as stream:
            while block := stream.read(BLOCK):
                counted = 0
                while True:
                    newline = block.find(b"\n", max(counted, begin + size - 1 - position))
                    if newline < 0:
                        break
                    lines += block.count(b"\n", counted, newline + 1)
                    counted, end = newline + 1, position + newline + 1
                    spans.append(SourceSpan(place, begin, end, first, end - begin))
                    begin, first = end, lines
                lines += block.count(b"\n", counted)
                position += len(block)
        if position > begin:
            spans.append(SourceSpan(place, begin, position, first, position - begin))
        return spans

    def read(self, span: SourceSpan) -> Iterator[TextDocument]:
        """The texts of a span's lines; empty lines are passed over."""
        rows = numbered_rows(Path(span.place), span.begin, span.end, span.first)
        for number, row in rows:
            name = f"{span.place} line {number}"
            yield TextDocument(f"{span.place}:{number}", text_field(row, self.field, name))


def numbered_rows(
    path: Path, begin: int = 0, end: int | None = None, first: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each line of bytes `begin` to `end` as its number, from 1 in the file, and an object.

    first: lines before `begin`. Raises DataError naming the line.
    """
    with open_stream(path) as stream:
        skip(stream, begin)
        number, position = first, begin
        while end is None or position < end:
            line = stream.readline()
            if not line:
                break
            number, position = number + 1, position + len(line)
            if line.strip():
                yield number, parse_row(line, f"{path} line {number}")


def parse_row(line: bytes, name: str) -> dict[str, Any]:
    """A line as an object. Raises DataError under `name`."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError(f"{name} is not a JSON object")
    return row


def read_conversations(path: Path, *, thoughts: bool = False) -> Iterator[dict[str, Any]]:
    """Each row's conversation: `messages`, and `tools` if any are declared.

    thoughts: accept an assistant's thoughts, which the prompts of K2-Instruct do not show.
    Raises DataError naming the line, also of one that K2's format cannot write.
    """
    ignored = IGNORED if thoughts else IGNORED | dict.fromkeys(THOUGHTS, NO_THOUGHTS)
    for number, row in numbered_rows(path):
        if not isinstance(row.get("messages"), list):
            raise DataError(f"{path} line {number} has no list field 'messages'")
        try:
            render(row["messages"], row.get("tools"), generation_prompt=False)
        except RenderError as error:
            raise DataError(f"{path} line {number}: {error}") from error
        if row.get("functions"):
            raise DataError(f"{path} line {number}: functions is not read: write it as tools")
        for index, message in enumerate(row["messages"]):
            for name in ignored.keys() & {name for name, value in message.items() if value}:
                raise DataError(f"{path} line {number}: messages[{index}].{name} {ignored[name]}")
        yield row
