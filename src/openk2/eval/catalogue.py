"""The rows of the README's two tables, in its order: each names its benchmark.

To add a benchmark: a file in `eval/tasks/`, and one line here.
"""

from dataclasses import dataclass
from typing import Literal

from openk2.eval.benchmark import Benchmark


@dataclass(frozen=True)
class Row:
    """A row of a table: `section` and `title` are the README's headings; published: model -> figure."""

    table: Literal["instruct", "base"]
    section: str
    title: str
    benchmark: Benchmark
