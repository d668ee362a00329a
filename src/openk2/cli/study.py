"""`openk2 study`: small experiments on the report's claims."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from openk2.cli.device import require_device
from openk2.cli.interruption import interruptible


def study(
    name: Annotated[
        Literal["qk-clip", "sparsity", "heads", "optimizer"], typer.Argument(help="Which.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the runs; finished ones are not repeated.")
    ] = Path("out/studies"),
    text: Annotated[
        Path | None,
        typer.Option(help="JSONL(.xz) with a field text; default: generated conversations."),
    ] = None,
    pages: Annotated[
        Path | None, typer.Option(help="Folder of the page and its plot; default: --out.")
    ] = None,
    size: Annotated[
        Literal["small", "large"], typer.Option(help="2M parameters for a CPU; 0.9B for a GPU.")
    ] = "small",
    quick: Annotated[
        bool, typer.Option("--quick", help="Runs of seconds: that it works, not what it finds.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a run.")] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder with tiktoken.model; default: the built-in's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run a study and write its page: a table and a plot.

    \b
    qk-clip    largest logits with and without QK-Clip; heads clipped; loss
    sparsity   more experts at the same activated parameters
    heads      twice as many heads
    optimizer  tokens to a given loss, AdamW against Muon

    \b
    Examples:
      openk2 study optimizer --quick
      openk2 study qk-clip --text books.jsonl.xz --out out/studies --pages docs/studies
    """
    from openk2.cli.memory import keep_freed_memory

    with one_line_errors():
        keep_freed_memory()
        from openk2.pretrained import assets_folder
        from openk2.record import hold_folder, require_plots
        from openk2.studies import (
            LARGE,
            SMALL,
            STUDIES,
            StudyPlace,
            collect,
            open_corpus,
            write_page,
        )
        from openk2.studies import quick as shortened

        require_device(device)
        require_plots()
        chosen = next(each for each in STUDIES if each.name == name)
        measure = SMALL if size == "small" else LARGE
        measure = shortened(measure) if quick else measure
        place = StudyPlace(out, device, threads)
        with hold_folder(out):
            corpus = open_corpus(
                out / measure.name / "corpus",
                measure,
                text,
                tokenizer or assets_folder() / "openk2-nano-base",
            )
            results = collect(
                chosen, measure, corpus, place, jobs=jobs, prepare=keep_freed_memory, announce=say
            )
            findings = chosen.findings(measure, results)
            page = write_page(
                pages or out,
                name,
                findings,
                size=measure,
                corpus=corpus,
                place=place,
                results=list(results.values()),
            )
    if as_json:
        tables = [dataclasses.asdict(table) for table in findings.tables]
        found = {"study": name, "page": str(page), "runs": len(results), "tables": tables}
        typer.echo(json.dumps({**found, "remarks": findings.remarks}))
    else:
        for table in findings.tables:
            typer.echo(table.markdown())
        for remark in findings.remarks:
            typer.echo(f"- {remark}")
        typer.echo(f"\npage in {page}")


def say(message: str) -> None:
    """Progress goes to standard error, so that standard output stays the result."""
    typer.echo(message, err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What is wrong is one line and exit status 1."""
    from openk2.chat import TokenizerError
    from openk2.data import DataError
    from openk2.record import PlotError
    from openk2.studies import StudyError
    from openk2.train import TrainingError

    try:
        with interruptible("the same command goes on with the runs that are missing"):
            yield
    except (DataError, OSError, PlotError, StudyError, TokenizerError, TrainingError) as error:
        say(f"error: {error}")
        raise typer.Exit(1) from error
