"""The report as a table for the terminal."""

from rich.table import Table
from rich.text import Text

from openk2.verify.outcome import Report

COLOURS = {"pass": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}


def result_table(report: Report) -> Table:
    """One row per check. Texts from the endpoint are shown verbatim, never as markup."""
    table = Table(show_edge=False)
    table.add_column("check", no_wrap=True)
    table.add_column("result")
    table.add_column("figure", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for result in report.results:
        outcome = result.outcome
        status = Text(outcome.status, COLOURS[outcome.status])
        table.add_row(result.name, status, Text(outcome.figure), Text(outcome.seen))
    return table
