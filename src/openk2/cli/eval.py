"""`openk2 eval`: measure a model, in this process or behind a URL."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from openk2.cli.chat import echo_error, one_line_errors, opened
from openk2.cli.eval_canary import canary
from openk2.cli.eval_readme import compare, readme, rows
from openk2.cli.one_line_group import OneLineGroup
from openk2.generation import EndpointError, served_models
from openk2.record import printable

if TYPE_CHECKING:
    from openk2.generation import ChatGenerator

app = typer.Typer(
    cls=OneLineGroup,
    no_args_is_help=True,
    help="Measure tool calling, everyday answers, and the README's result tables.",
    rich_markup_mode=None,
)
for command in (readme, rows, compare, canary):
    app.command()(command)

ModelName = Annotated[
    str | None,
    typer.Option(help="Folder, built-in name or ORGANISATION/NAME on the hub; a name at --url."),
]
Url = Annotated[str | None, typer.Option(help="An OpenAI-compatible server, not a local model.")]
ApiKey = Annotated[str | None, typer.Option(envvar="OPENK2_API_KEY", help="Key for --url.")]
Temperature = Annotated[float, typer.Option(min=0.0, max=2.0)]
MaxTokens = Annotated[int, typer.Option(min=1, help="Of an answer; one cut off there is wrong.")]
Concurrency = Annotated[int, typer.Option(min=1, help="Requests in flight at most.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Need = Annotated[int, typer.Option(help="Exit with 1 below this many successes.")]
ANSWERS_MISSING = 3  # exit status, the one of `eval readme` with a failed row


@app.command()
def tools(
    conversations: Annotated[
        Path | None, typer.Argument(help="JSONL; by default generated tools unseen in training.")
    ] = None,
    model: ModelName = None,
    url: Url = None,
    api_key: ApiKey = None,
    limit: Annotated[int, typer.Option(min=1, help="Assistant turns to score at most.")] = 400,
    temperature: Temperature = 0.6,
    seed: Annotated[
        int, typer.Option(help="Which turns are drawn, and the seeds of the answers.")
    ] = 0,
    max_tokens: MaxTokens = 256,
    concurrency: Concurrency = 8,
    as_json: AsJson = False,
) -> None:
    """Score tool calls turn by turn: when to call, which tool, which arguments.

    \b
    Examples:
      openk2 eval tools
      openk2 eval tools sgd-dev.jsonl --limit 1000 --json
      openk2 eval tools --url https://host.example/v1 --model kimi-k2

    Exit status: 0; 1 nothing could be asked or scored; 3 the report lacks some answers.
    """
    from openk2.data import read_conversations
    from openk2.eval import score_tables, score_tool_calls
    from openk2.synthesis import generate

    rows = (
        list(read_conversations(conversations, thoughts=True))
        if conversations
        else list(islice(generate(7, None, "held_out"), 1000))
    )
    with asked(model, url, api_key) as (chat, progress):
        score = asyncio.run(
            score_tool_calls(
                chat,
                rows,
                limit=limit,
                seed=seed,
                temperature=temperature,
                max_tokens=max_tokens,
                concurrency=concurrency,
                progress=progress,
            )
        )
    if as_json:
        typer.echo(json.dumps(score.to_json()))
    else:
        title = str(conversations or "generated, tools unseen in training")
        for table in score_tables(score, title):
            Console().print(table)
    require_answers(score.errors)


@app.command()
def weather(
    model: ModelName = None,
    url: Url = None,
    api_key: ApiKey = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Unseeded runs; by default 100, with --variations 10 of each."),
    ] = None,
    variations: Annotated[
        bool,
        typer.Option("--variations", help="Run ten variations: other tools, cities, errors."),
    ] = False,
    max_tokens: MaxTokens = 256,
    need: Need = 0,
    as_json: AsJson = False,
) -> None:
    """Run the weather loop of the Kimi-K2 README and count how often it ends as it should.

    \b
    Examples:
      openk2 eval weather --runs 100 --need 97
      openk2 eval weather --variations --runs 10 --json

    Exit status: 0; 1 nothing could be asked, or below --need; 3 the report lacks some answers.
    """
    with asked(model, url, api_key) as (chat, progress):
        measure = run_variations if variations else run_readme
        report, lines = measure(chat, runs, max_tokens, progress)
    typer.echo(json.dumps(report) if as_json else printable("\n".join(lines)))
    require_answers(report["errors"])
    if report["succeeded"] < need:
        raise typer.Exit(1)


@app.command()
def everyday(
    model: ModelName = None,
    url: Url = None,
    api_key: ApiKey = None,
    temperature: Temperature = 0.6,
    seed: int = 0,
    max_tokens: MaxTokens = 256,
    need: Need = 0,
    as_json: AsJson = False,
) -> None:
    """Ask twenty everyday questions; an answer is sensible, or says that it does not know.

    \b
    Examples:
      openk2 eval everyday --need 20
      openk2 eval everyday --url http://127.0.0.1:8000 --json

    Exit status: 0; 1 nothing could be asked, or below --need; 3 the report lacks some answers.
    """
    from openk2.eval import QUESTIONS, ask_everyday

    with asked(model, url, api_key) as (chat, progress):
        replies = asyncio.run(
            ask_everyday(
                chat, temperature=temperature, seed=seed, max_tokens=max_tokens, progress=progress
            )
        )
    succeeded = sum(reply.sensible for reply in replies)
    errors = len(QUESTIONS) - len(replies)
    if as_json:
        report = {"questions": len(replies), "sensible": succeeded, "errors": errors}
        typer.echo(json.dumps({**report, "answers": [reply.to_json() for reply in replies]}))
    else:
        for reply in replies:
            mark = "ok   " if reply.sensible else "WRONG"
            typer.echo(printable(f"{mark} {reply.question.text}  {reply.answer}"))
        typer.echo(f"{succeeded} of {len(replies)} answers are sensible{error_words(errors)}")
    require_answers(errors)
    if succeeded < need:
        raise typer.Exit(1)


def run_readme(
    chat: "ChatGenerator", runs: int | None, max_tokens: int, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """The README's loop: what --json prints, and the lines for a reader."""
    from openk2.eval import run_weather_loop

    score = asyncio.run(
        run_weather_loop(chat, runs=runs or 100, max_tokens=max_tokens, progress=progress)
    )
    report = {
        "runs": score.runs,
        "called": score.called,
        "said": score.said,
        "succeeded": score.succeeded,
        "errors": score.errors,
        "failures": list(score.failures),
    }
    summary = (
        f"{score.succeeded} of {score.runs} runs succeeded: "
        f"{score.called} called get_weather for Beijing, {score.said} said it is sunny"
        f"{error_words(score.errors)}"
    )
    return report, [summary, *(f"\n{failure}" for failure in score.failures[:5])]


def run_variations(
    chat: "ChatGenerator", runs: int | None, max_tokens: int, progress: Progress
) -> tuple[dict[str, Any], list[str]]:
    """The variations: what --json prints, and the lines for a reader."""
    from openk2.eval import VARIATIONS, run_scenarios

    scores = asyncio.run(
        run_scenarios(chat, VARIATIONS, runs=runs or 10, max_tokens=max_tokens, progress=progress)
    )
    total, succeeded = sum(s.runs for s in scores), sum(s.succeeded for s in scores)
    errors = sum(s.errors for s in scores)
    report = {
        "runs": total,
        "succeeded": succeeded,
        "errors": errors,
        "variations": {
            s.name: {
                "runs": s.runs,
                "succeeded": s.succeeded,
                "errors": s.errors,
                "failures": list(s.failures),
            }
            for s in scores
        },
    }
    summary = f"{succeeded} of {total} runs of {len(scores)} variations succeeded"
    lines = [summary + error_words(errors)]
    for score in scores:
        told = error_words(score.errors)
        lines.append(f"{score.succeeded:4} of {score.runs}  {score.name}{told}")
        lines += [f"             {failure[:200]}" for failure in score.failures[:1]]
    return report, lines


def error_words(errors: int) -> str:
    """What a line of counts ends with, if the server left some out."""
    return f"; {errors} more got no answer and do not count" if errors else ""


def require_answers(errors: int) -> None:
    """Exit with 3 if so many answers are missing, before --need is judged by those that came."""
    if errors:
        raise typer.Exit(ANSWERS_MISSING)


@contextmanager
def asked(
    model: str | None, url: str | None, api_key: str | None
) -> Iterator[tuple["ChatGenerator", Progress]]:
    """The model, asked again while it is busy, and a progress display on standard error if that is
    a terminal.

    What cannot be scored is one line and exit status 1, like a server that gives no answer at all.
    One that gives some is a line about the others.
    """
    from openk2.eval import ConversationError, RetryingChat

    console = Console(stderr=True)
    bars = Progress(console=console, transient=True, disable=not console.is_terminal)
    try:
        with one_line_errors(), opened(model, url, api_key) as chat, bars as progress:
            if url is not None and model is not None:
                require_server(url, api_key)
            retrying = RetryingChat(chat)
            yield retrying, progress
            if retrying.given_up:
                count, first = len(retrying.given_up), str(retrying.given_up[0])
                line = f"{count} requests got no answer, such as: {' '.join(first.split())}"
                typer.echo(printable(line), err=True)
    except ConversationError as error:
        echo_error(error)
        raise typer.Exit(1) from error


def require_server(url: str, api_key: str | None) -> None:
    """Raise EndpointError if nothing answers at `url`: a mistyped one is not worth a retry."""
    import httpx

    nowhere = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.InvalidURL,
        httpx.UnsupportedProtocol,
    )
    try:
        served_models(url, api_key=api_key)
    except EndpointError as error:
        if isinstance(error.__cause__, nowhere):
            raise
