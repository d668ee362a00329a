"""`openk2 data corpus` and `openk2 data verify`."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from openk2.cli.interruption import interruptible

if TYPE_CHECKING:
    from openk2.cluster import Workers
    from openk2.data import CorpusProgress, CorpusSummary

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def corpus(
    recipe: Annotated[Path, typer.Argument(help="What it is made of, TOML.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; continued if it exists.")],
    processes: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    ray: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster to run on instead: auto, HOST:PORT."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a corpus: tokenize and pack sources into shards, without duplicates.

    Killed at any moment, the same command goes on with what is missing. The result does not depend
    on the number of processes or machines. Train on it with a [[data]] table a domain, such as
    path = "corpus/web".

    \b
    Examples:
      openk2 data corpus corpus.toml --out corpus --processes 8
      openk2 data corpus corpus.toml --out /shared/corpus --ray auto
    """
    from openk2.chat import TokenizerError
    from openk2.cluster import LocalProcesses, RayCluster, ThisProcess, WorkerError
    from openk2.config import RecipeError, read_recipe
    from openk2.data import CorpusRecipe, DataError, prepare_corpus

    if ray is not None and processes > 1:
        raise typer.BadParameter("--processes and --ray exclude each other: Ray has its own")
    workers: Workers = ThisProcess() if processes == 1 else LocalProcesses(processes)
    if ray is not None:
        workers = RayCluster(ray)
    try:
        with interruptible("the same command goes on with what is missing"), ProgressBars() as bars:
            summary = prepare_corpus(read_recipe(recipe, CorpusRecipe), out, workers, bars.show)
    except (DataError, OSError, RecipeError, TokenizerError, WorkerError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(summary.to_dict()))
    else:
        print_summary(summary, out)


def verify(
    folder: Annotated[Path, typer.Argument(help="A corpus, or one domain's folder of it.")],
    as_json: AsJson = False,
) -> None:
    """Read every shard of a corpus and compare it with its manifest's digest.

    Exit status 1 if anything is missing or damaged.

    Example: openk2 data verify corpus
    """
    from openk2.data import MANIFEST, DataError, Manifest, verify_rows

    folders = [folder] if (folder / MANIFEST).exists() else sorted(folder.glob(f"*/{MANIFEST}"))
    folders = [found.parent if found.name == MANIFEST else found for found in folders]
    try:
        if not folders:
            raise DataError(f"{folder} holds no {MANIFEST}: name a finished corpus")
        total = sum(len(Manifest.load(domain).shards) for domain in folders)
        faults, tokens = [], 0
        with ProgressBars() as bars:
            checked = (found for domain in folders for found in verify_rows(domain))
            for number, found in enumerate(checked, 1):
                bars.advance("verifying", number, total)
                tokens += found.shard.tokens
                faults += [found.fault] if found.fault else []
    except (DataError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({"shards": total, "tokens": tokens, "faults": faults}))
    else:
        for fault in faults:
            typer.echo(f"error: {fault}", err=True)
        typer.echo(
            f"{total - len(faults)} of {total} shards as their manifests say, {tokens} tokens"
        )
    if faults:
        raise typer.Exit(1)


class ProgressBars:
    """A bar a step on standard error, once the whole has taken 2 seconds and if a person looks."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        self.bars = Bars(*columns, console=console, disable=not console.is_terminal)
        self.began = time.monotonic()
        self.tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBars":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def show(self, progress: "CorpusProgress") -> None:
        """A step's progress."""
        self.advance(progress.step, progress.done, progress.total)

    def advance(self, step: str, done: int, total: int) -> None:
        """Set a step's bar."""
        if step not in self.tasks:
            self.tasks[step] = self.bars.add_task(step)
        self.bars.update(self.tasks[step], completed=done, total=total)
        if time.monotonic() - self.began > 2 and not self.bars.live.is_started:
            self.bars.start()


def print_summary(summary: "CorpusSummary", out: Path) -> None:
    """A row a domain."""
    table = Table(title=f"{out}, rows of {summary.length} tokens", title_justify="left")
    table.add_column("domain")
    for name in ("documents", "duplicates gone", "characters", "tokens", "rows", "shards"):
        table.add_column(name, justify="right")
    for domain in summary.domains:
        numbers = (
            domain.documents,
            domain.gone,
            domain.characters,
            domain.tokens,
            domain.rows,
            domain.shards,
        )
        table.add_row(domain.domain, *(f"{number:,}" for number in numbers))
    Console().print(table)
