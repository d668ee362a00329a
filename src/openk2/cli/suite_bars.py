"""Progress of `openk2 eval readme`: all rows, the row at hand, and a line for what cannot run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from openk2.record import printable

if TYPE_CHECKING:
    from openk2.eval import RowOutcome


class SuiteBars:
    """A bar of all rows' answers with the time that remains, and one of the row; rows that do not
    run are lines. On standard error, bars only on a terminal."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self.console = Console(stderr=True, highlight=False)
        self.bars = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.answers: Mapping[str, int] = {}
        self.total = 0  # answers of the rows before
        self.done = 0  # of this row
        self.all = self.bars.add_task("all rows", total=None)
        self.row = self.bars.add_task("reading data", total=None)

    def __enter__(self) -> "SuiteBars":
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def plan(self, answers: Mapping[str, int]) -> None:
        """See `Bars`."""
        self.answers = answers
        self.bars.update(self.all, total=sum(answers.values()))

    def begin(self, row: str) -> None:
        """See `Bars`."""
        self.done = 0
        self.bars.reset(self.row, description=row, total=self.answers[row])

    def advance(self) -> None:
        """See `Bars`."""
        self.done += 1
        self.bars.update(self.row, completed=self.done)
        self.bars.update(self.all, completed=self.total + self.done)

    def end(self, row: str) -> None:
        """See `Bars`."""
        self.total += self.answers[row]
        self.bars.update(self.row, completed=self.answers[row])
        self.bars.update(self.all, completed=self.total)

    def tell(self, outcome: "RowOutcome") -> None:
        """A line for a row that did not run."""
        line = f"{outcome.row}: {outcome.status}, {outcome.reason}"
        self.console.print(printable(line), markup=False, soft_wrap=True)
