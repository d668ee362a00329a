"""Two runs row by row, over the questions that both were asked: more than luck?"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openk2.eval.figure import Difference, figure_of, paired_difference
from openk2.eval.results import RowResult
from openk2.eval.run_folder import read_run, results_of
from openk2.record import Table

if TYPE_CHECKING:
    from openk2.eval.catalogue import Row


@dataclass(frozen=True)
class Compared:
    """A row of two runs: the figures over the common questions, of 1, and their difference.

    None where the runs share no question of it. note: what either run lacks, "" for nothing.
    """

    row: "Row"
    first: float | None
    second: float | None
    difference: Difference | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        difference = None if self.difference is None else self.difference.to_json()
        figures = {"first": self.first, "second": self.second}
        return {"row": self.row.name, **figures, "difference": difference, "note": self.note}


def compare_runs(first: Path, second: Path, rows: "Sequence[Row] | None" = None) -> list[Compared]:
    """The rows that both folders have answers of. rows: of these, by default the README's.

    Raises RunFolderError for a folder that holds no run.
    """
    for folder in (first, second):
        read_run(folder)
    ours = {result.row.name: result for result in results_of(first, rows=rows) if result.questions}
    theirs = {
        result.row.name: result for result in results_of(second, rows=rows) if result.questions
    }
    return [compared(ours[name], theirs[name]) for name in ours if name in theirs]


def compared(first: RowResult, second: RowResult) -> Compared:
    """One row."""
    weights = first.row.benchmark.protocol.groups
    common = first.questions.keys() & second.questions.keys()
    values = []
    for run in (first, second):
        shared = {name: run.questions[name] for name in common}
        figure = figure_of(shared, weights, len(shared))
        values.append(None if figure is None else figure.value)
    difference = paired_difference(first.questions, second.questions, weights)
    notes = (("first", first.complaint), ("second", second.complaint))
    note = "; ".join(f"{name}: {complaint}" for name, complaint in notes if complaint)
    return Compared(first.row, values[0], values[1], difference, note)


def comparison_table(rows: Sequence[Compared]) -> Table:
    """In percent and points."""
    header = (
        "row",
        "first",
        "second",
        "difference (95 %)",
        "p",
        "questions",
        "better",
        "worse",
        "note",
    )
    return Table(header, tuple(line(row) for row in rows))


def line(row: Compared) -> tuple[str, ...]:
    """A row of the table."""
    found = row.difference
    if found is None or row.first is None or row.second is None:
        figures = ("no question in common" if n == 2 else "-" for n in range(7))
        return (row.row.name, *figures, row.note)
    low, high = 100 * found.low, 100 * found.high
    return (
        row.row.name,
        f"{100 * row.first:.1f}",
        f"{100 * row.second:.1f}",
        f"{100 * found.value:+.1f} ({low:+.1f} to {high:+.1f})",
        f"{found.p:.3g}",
        str(found.questions),
        str(found.better),
        str(found.worse),
        row.note,
    )
