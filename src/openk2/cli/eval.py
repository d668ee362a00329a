"""`openk2 eval`: measure a model, in this process or behind a URL."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from openk2.cli.chat import one_line_errors, opened

app = typer.Typer(no_args_is_help=True, help="Measure tool calling.")

ModelName = Annotated[str | None, typer.Option(help="Folder or built-in name; a name at --url.")]
Url = Annotated[str | None, typer.Option(help="An OpenAI-compatible server, not a local model.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.command()
def tools(
    conversations: Annotated[
        Path | None, typer.Argument(help="JSONL; by default generated tools unseen in training.")
    ] = None,
    model: ModelName = None,
    url: Url = None,
    limit: Annotated[int, typer.Option(min=1, help="Assistant turns to score.")] = 400,
    temperature: Annotated[float, typer.Option(min=0.0, max=2.0)] = 0.6,
    seed: Annotated[int, typer.Option(help="Which turns are drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Score tool calls turn by turn: when to call, which tool, which arguments.

    \b
    Examples:
      openk2 eval tools
      openk2 eval tools sgd-dev.jsonl --limit 1000 --json
    """
    from openk2.data import read_conversations
    from openk2.eval import score_tool_calls
    from openk2.synthesis import generate

    rows = (
        list(read_conversations(conversations))
        if conversations
        else list(islice(generate(7, None, "held_out"), 1000))
    )
    with one_line_errors(), opened(model, url, None) as chat, bars() as progress:
        score = asyncio.run(
            score_tool_calls(
                chat, rows, limit=limit, seed=seed, temperature=temperature, progress=progress
            )
        )
    if as_json:
        typer.echo(json.dumps(score.to_json()))
    else:
        Console().print(score.table(str(conversations or "generated, tools unseen in training")))


@app.command()
def weather(
    model: ModelName = None,
    url: Url = None,
    runs: Annotated[int, typer.Option(min=1, help="Unseeded runs.")] = 100,
    need: Annotated[int, typer.Option(help="Exit with 1 below this many successes.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run the weather loop of the Kimi-K2 README and count how often it ends as it should.

    \b
    Example:
      openk2 eval weather --runs 100 --need 97
    """
    from openk2.eval import run_weather_loop

    with one_line_errors(), opened(model, url, None) as chat, bars() as progress:
        score = asyncio.run(run_weather_loop(chat, runs=runs, progress=progress))
    report = {
        "runs": score.runs,
        "called": score.called,
        "said": score.said,
        "succeeded": score.succeeded,
        "failures": list(score.failures),
    }
    if as_json:
        typer.echo(json.dumps(report))
    else:
        typer.echo(
            f"{score.succeeded} of {score.runs} runs succeeded: "
            f"{score.called} called get_weather for Beijing, {score.said} said it is sunny"
        )
        for failure in score.failures[:5]:
            typer.echo(f"\n{failure}")
    if score.succeeded < need:
        raise typer.Exit(1)


@contextmanager
def bars() -> Iterator[Progress]:
    """Progress on standard error, so that standard output stays the result."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        yield progress
