"""A run for test_resuming: sums, asked of a server, below a folder."""

import sys
from pathlib import Path

import typer

from openk2.cli.interruption import interruptible
from openk2.eval.endpoint import endpoints
from openk2.eval.inspect_task import Asking
from openk2.eval.suite import Suite, run_suite

sys.path.insert(0, str(Path(__file__).parents[1]))

from eval.made_up import row_of, sums


class Silent:
    """Bars that show nothing."""

    def plan(self, answers: object) -> None: ...

    def begin(self, row: str) -> None: ...

    def advance(self) -> None: ...

    def end(self, row: str) -> None: ...


def main(url: str, folder: Path) -> None:
    """Run, and print what became of the row."""
    with interruptible("again"), endpoints() as opened:
        models = {"instruct": opened.open(url)}
        asking = {"instruct": Asking(concurrency=2)}
        suite = Suite(folder / "out", folder / "data", models, asking, {})
        for outcome in run_suite([row_of(sums("sums-killed"))], suite, Silent(), print):
            print(outcome.status)


if __name__ == "__main__":
    typer.run(main)
