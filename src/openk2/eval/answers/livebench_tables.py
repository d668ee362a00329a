"""LiveBench's tablereformat (arXiv 2406.19314): the same table in the format that was asked for.

The published rule is what pandas makes of a text; here is what that comes to, for the questions of
2024. Rows are compared in order, columns by name, numbers to 1e-6, and texts without outer spaces.
A column is one of numbers if all its cells are. Two oddities are kept: of a Markdown table the
first column is not compared, and the line of dashes is a row like any other.
"""

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from openk2.eval.answers.text import answer_part

FORMATS = ("csv", "tsv", "markdown", "json", "jsonl", "html")
_ASKED = re.compile(r"convert the Input Table from \w+ format to (\w+) format")
_SOLUTION = re.compile(r"<solution>(.*?)</solution>", re.DOTALL)
_BLOCK = re.compile(r"```(?:json|html)\n(.*?)```", re.DOTALL)
_LEAD = re.compile(r"^\s*(Here|Input)\b.*?\b(format|table)\s*[:)]\s*", re.IGNORECASE)
_MAX_AFTER = 200  # lines after a table
_DELIMITERS = {"csv": ",", "tsv": "\t", "markdown": "|"}
_MISSING = frozenset(
    (
        *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"),
        *("1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
    )
)
_BOOLEANS = dict.fromkeys(("True", "TRUE", "true"), True) | dict.fromkeys(
    ("False", "FALSE", "false"), False
)


@dataclass(frozen=True)
class FlatTable:
    """Columns by name, each with a cell for every row: a number, a text, a boolean or None."""

    columns: dict[str, list[Any]]
    rows: int


def asked_format(question: str) -> str:
    """The format that a question asks for. Raises ValueError for none that is known."""
    found = _ASKED.search(question)
    if found is None or found[1].lower() not in FORMATS:
        raise ValueError(f"the question names no target format of {', '.join(FORMATS)}")
    return found[1].lower()


def same_table(text: str, reference: str, form: str) -> bool:
    """Whether the answer's table is the reference's; text before it is forgiven as published."""
    right, cleaned = read_table(reference, form), _cleaned(answer_part(text))
    whole = _read_if_any(cleaned, form)
    if whole is not None and _same(whole, right):
        return True
    if whole is not None and form not in ("csv", "jsonl"):
        return False
    part = _from_header(cleaned, form, list(right.columns))
    return part is not None and _same(part, right)


def read_table(text: str, form: str) -> FlatTable:
    """The table in a text of that format. Raises ValueError."""
    if form == "html":
        return _delimited(_html_rows(text))
    if form in _DELIMITERS:
        if "\0" in text:
            raise ValueError("a zero byte")
        lines = [line for line in text.strip().splitlines() if line.strip()]
        try:
            rows = list(
                csv.reader(lines, delimiter=_DELIMITERS[form], skipinitialspace=form == "markdown")
            )
        except csv.Error as error:
            raise ValueError(str(error)) from None
        return _delimited(rows, without=1 if form == "markdown" else None)
    if form == "jsonl":
        return _objects([json.loads(line) for line in text.splitlines() if line.strip()])
    value = json.loads(text)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    return _objects(list(value.values()) if isinstance(value, dict) else value)


def _cleaned(text: str) -> str:
    """The answer without tags, fences and a first phrase such as "Here is the table:"."""
    while tagged := _SOLUTION.findall(text):
        text = tagged[-1].strip()
    if blocks := _BLOCK.findall(text):
        text = blocks[-1]
    else:
        text = re.sub(r"^```.*\n", "", text).replace("&amp;", "&").replace("```", "")
    return _LEAD.sub("", text.strip()).strip()


def _read_if_any(text: str, form: str) -> FlatTable | None:
    try:
        return read_table(text, form)
    except (ValueError, RecursionError):
        return None


def _from_header(text: str, form: str, columns: Sequence[str]) -> FlatTable | None:
    """The table inside a text: from its header to the last line that can be a row of it, or its
    lines of objects. A line after a CSV table that has no more fields than it counts as a row."""
    lines = text.splitlines()
    if form == "jsonl":
        objects = (
            line
            for line in lines
            if line[:1] == "{" and line[-1:] == "}" and all(name in line for name in columns)
        )
        return _read_if_any("\n".join(objects), form)
    if form not in ("csv", "tsv"):
        return None
    delimiter, header = _DELIMITERS[form], [name.strip() for name in columns]
    for number, line in enumerate(lines):
        if [name.strip() for name in line.split(delimiter)] == header:
            ends = range(len(lines), max(number, len(lines) - _MAX_AFTER), -1)
            parts = (_read_if_any("\n".join(lines[number:end]), form) for end in ends)
            return next((part for part in parts if part is not None), None)
    return None


def _delimited(rows: Sequence[Sequence[str]], without: int | None = None) -> FlatTable:
    if len(rows) < 1:
        raise ValueError("no header")
    names: list[str] = []
    for number, name in enumerate(rows[0]):
        name = name.strip() or f"Unnamed: {number}"
        names.append(f"{name}.{names.count(name)}" if name in names else name)
    if any(len(row) > len(names) for row in rows[1:]):
        raise ValueError("a row is longer than the header")
    cells = [[*row, *[""] * (len(names) - len(row))] for row in rows[1:]]
    columns = {
        name: _typed([None if row[number].strip() in _MISSING else row[number] for row in cells])
        for number, name in enumerate(names)
        if number != without
    }
    columns.pop("index", None)
    return FlatTable(columns, len(cells))


def _objects(rows: Any) -> FlatTable:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no objects")
    names = dict.fromkeys(str(name) for row in rows for name in row)
    columns = {name.strip(): _typed([row.get(name) for row in rows]) for name in names}
    columns.pop("index", None)
    return FlatTable(columns, len(rows))


def _typed(cells: Sequence[Any]) -> list[Any]:
    """A column as pandas reads it: booleans or numbers if all cells are, otherwise as given."""
    known = [cell.strip() if isinstance(cell, str) else cell for cell in cells]
    given = [cell for cell in known if cell is not None]
    if given and all(isinstance(cell, str) and cell in _BOOLEANS for cell in given):
        return [None if cell is None else _BOOLEANS[cell] for cell in known]
    numbers = [_number(cell) for cell in given]
    if all(number is not None for number in numbers):
        return [None if cell is None else _number(cell) for cell in known]
    return known


def _number(cell: Any) -> float | None:
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    try:
        # Python's float takes 1_000, pandas does not.
        return None if "_" in str(cell) else float(cell)
    except (ValueError, OverflowError):
        return None


def _same(ours: FlatTable, right: FlatTable) -> bool:
    if ours.rows != right.rows or sorted(ours.columns) != sorted(right.columns):
        return False
    return all(
        all(map(_same_cell, ours.columns[name], cells)) for name, cells in right.columns.items()
    )


def _same_cell(ours: Any, right: Any) -> bool:
    if isinstance(ours, float) and isinstance(right, float):
        return abs(ours - right) < 1e-6 or (math.isnan(ours) and math.isnan(right))
    return type(ours) is type(right) and bool(ours == right)


class _Rows(HTMLParser):
    """Cells of the table rows of a text."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.rows[-1][-1] += data


def _html_rows(text: str) -> list[list[str]]:
    parser = _Rows()
    parser.feed(text)
    parser.close()
    return [[" ".join(cell.split()) for cell in row] for row in parser.rows if row]
