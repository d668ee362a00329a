"""The report as a table for the terminal."""

from rich.table import Table
from rich.text import Text

from openk2.record import printable
from openk2.verify.outcome import Report

COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def result_table(report: Report) -> Table:
    """One row per check. Texts from the endpoint are neither markup nor commands."""
    table = Table(show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result")
    table.add_column("figure", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for result in report.results:
        outcome = result.outcome
        status = Text(outcome.status, COLOURS[outcome.status])
        figure, seen = Text(printable(outcome.figure)), Text(printable(outcome.seen))
        table.add_row(printable(result.name), status, figure, seen)
    return table
