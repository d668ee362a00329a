"""`openk2 eval readme`, `rows` and `compare`: the README's two result tables for any model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from openk2.cli.interruption import interruptible
from openk2.cli.suite_bars import SuiteBars
from openk2.generation import EndpointError
from openk2.pretrained import find_folder
from openk2.record import DataError, printable, write_file_atomically

if TYPE_CHECKING:
    from openk2.eval import Prices, Row, RowOutcome, SuiteRun

ROW_FAILED = 3
BUILT_IN = {"instruct": "openk2-nano", "base": "openk2-nano-base"}

Rows = Annotated[
    str | None, typer.Option(help="Names with commas; instruct, base or openk2 is a whole table.")
]
Data = Annotated[Path | None, typer.Option(help="Folder with a folder for each benchmark.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]
Role = Annotated[str | None, typer.Option(help="URL#MODEL, a folder or a built-in name.")]


def readme(
    model: Annotated[
        str | None,
        typer.Argument(
            help="Model for the instruct table: URL, URL#MODEL, a folder or a built-in name."
        ),
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Model for the base table, in the same forms.")
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the run; continued if it exists.")
    ] = Path("readme-run"),
    data: Data = None,
    rows: Rows = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions of each row.")] = None,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Answers to each question, where the protocol's k is larger."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Output cap, where the protocol's is larger.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which questions, and the seeds of answers.")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at most.")] = 8,
    grader: Role = None,
    user: Role = None,
    scoring: Role = None,
    sandbox: Annotated[
        str | None,
        typer.Option(help="For model-written code: bubblewrap, container or subprocess."),
    ] = None,
    predictions: Annotated[
        list[str] | None,
        typer.Option(help="ROW=FILE: patches of a SWE-bench row that were made before."),
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_API_KEY", help="For MODEL and --base.")
    ] = None,
    role_api_key: Annotated[
        str | None, typer.Option(envvar="OPENK2_ROLE_API_KEY", help="For --grader and the like.")
    ] = None,
    price_in: Annotated[float, typer.Option(min=0, help="Price per million input tokens.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0, help="Price per million output tokens.")] = 0.0,
    serve: Annotated[
        list[str] | None,
        typer.Option(
            help="Option of `openk2 serve` for local models, as in --serve=--device=cuda."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the rows of the Kimi-K2 README's tables by the report's protocol.

    Without any model the built-in pair is measured. A row without data, judge or model is one line
    and the others go on. Killed at any moment, the same command goes on with what is missing.

    \b
    Examples:
      openk2 eval readme --data benchmarks --limit 20
      openk2 eval readme https://host.example#kimi-k2 --rows aime-2024,ifeval --out k2
      openk2 eval readme --rows tools,weather --data benchmarks
      openk2 eval readme ./instruct --base ./base --grader https://host.example#judge

    Exit status: 0; 1 nothing could be started; 3 a row failed, or none ran; 130 Ctrl-C.
    """
    with one_line():
        require_inspect()
        from openk2.eval import Prices, RunFolderError, SuiteRun, begun, find_rows, is_url

        wanted = find_rows(split(rows))
        given = {"instruct": model, "base": base}
        models = {table: name for table, name in given.items() if name} or BUILT_IN
        asked = {row.variant for row in wanted}
        models = {table: name for table, name in models.items() if table in asked}
        judges = {"grader": grader, "user": user, "scoring": scoring}
        roles = {role: name for role, name in judges.items() if name}
        if serve and all(map(is_url, [*models.values(), *roles.values()])):
            raise typer.BadParameter("--serve is for local models: leave it out, or name one")
        patches = files_of(predictions or (), [row.name for row in wanted])
        run = SuiteRun(models, roles, seed, samples, max_tokens)
        prices = Prices(price_in, price_out) if price_in or price_out else None
        with interruptible("the same command goes on with what is missing"), begun(out, run):
            options = {"limit": limit, "concurrency": concurrency}
            made = {"sandbox": sandbox, "predictions": patches}
            keys = (api_key, role_api_key)
            try:
                outcomes = ask(wanted, run, out, data, options, made, keys, tuple(serve or ()))
            except KeyboardInterrupt:
                with suppress(RunFolderError):  # interrupted before the first question
                    report(out, [], prices)
                raise
            text, values = report(out, outcomes, prices)
            typer.echo(values if as_json else printable(text))
    for outcome in outcomes:
        if outcome.earlier:
            typer.echo(f"{outcome.row}: {outcome.earlier} answers of an earlier session", err=True)
    if any(o.status == "failed" for o in outcomes) or all(o.status != "ran" for o in outcomes):
        raise typer.Exit(ROW_FAILED)


def ask(
    rows: "tuple[Row, ...]",
    run: "SuiteRun",
    out: Path,
    data: Path | None,
    options: Mapping[str, Any],
    made: Mapping[str, Any],
    keys: tuple[str | None, str | None],
    serve: tuple[str, ...],
) -> "list[RowOutcome]":
    """Open the models and run the rows. options: of how they are asked. made: of the suite.
    keys: of the models and of the roles."""
    from openk2.eval import Asking, Suite, endpoints, is_url, record_run, run_suite, weights_digest

    settings = {"seed": run.seed, "samples": run.samples, "max_tokens": run.max_tokens, **options}
    with endpoints(serve) as opened, SuiteBars() as bars:
        models = {table: opened.open(name, keys[0]) for table, name in run.models.items()}
        roles = {role: opened.open(name, keys[1]) for role, name in run.roles.items()}
        asking = {
            table: Asking(context=opened.contexts[address], **settings)
            for table, address in models.items()
        }
        named = {**run.models, **run.roles}
        served = {key: address.model for key, address in (models | roles).items()}
        weights = {
            key: weights_digest(find_folder(name))
            for key, name in named.items()
            if not is_url(name)
        }
        warning = record_run(out, replace(run, served=served, weights=weights))
        if warning:
            typer.echo(f"warning: {printable(warning)}", err=True)
        contexts = {role: opened.contexts[address] for role, address in roles.items()}
        suite = Suite(out, data, models, asking, roles, contexts=contexts, **made)
        return run_suite(rows, suite, bars, bars.tell)


def report(out: Path, outcomes: "list[RowOutcome]", prices: "Prices | None") -> tuple[str, str]:
    """Write the three reports into the folder. Returns those in Markdown and JSON."""
    from openk2.eval import html_page, markdown, read_run, results_of, to_json

    run, results = read_run(out), results_of(out, outcomes, prices)
    text, values = markdown(run, results), json.dumps(to_json(run, results))
    write_file_atomically(out / "results.md", text)
    write_file_atomically(out / "results.json", values + "\n")
    write_file_atomically(out / "index.html", html_page(run, results))
    return text, values


def rows(
    names: Annotated[
        str | None, typer.Argument(help="Names with commas; by default the 45.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List the 45 rows: protocol, where the data is, the published figure of Kimi K2.

    \b
    Examples:
      openk2 eval rows --data benchmarks
      openk2 eval rows base --json
      openk2 eval rows openk2          # tools and weather, which the README does not have
    """
    with one_line():
        require_inspect()
        from openk2.eval import find_rows, list_rows, listing_table

        listed = list_rows(find_rows(split(names)), data)
    if as_json:
        typer.echo(json.dumps([entry.to_json() for entry in listed]))
        return
    typer.echo(listing_table(listed).markdown(), nl=False)
    typer.echo(f"{len(listed)} rows, data of {sum(entry.available for entry in listed)} found")


def compare(
    first: Annotated[Path, typer.Argument(help="--out of a run.")],
    second: Annotated[Path, typer.Argument(help="--out of another.")],
    as_json: AsJson = False,
) -> None:
    """Compare two runs row by row, paired by question: second less first, with p.

    \b
    Example: openk2 eval compare before after
    """
    with one_line():
        require_inspect()
        from openk2.eval import compare_runs, comparison_table

        compared = compare_runs(first, second)
    if as_json:
        typer.echo(json.dumps([row.to_json() for row in compared]))
    else:
        typer.echo(printable(comparison_table(compared).markdown()), nl=False)


def files_of(options: Sequence[str], wanted: Sequence[str]) -> dict[str, Path]:
    """ROW=FILE -> row and file. wanted: the rows to measure.

    Raises NoSuchRowError, and BadParameter for a row that would not read its file.
    """
    from openk2.eval import find_rows, patched_rows

    files = {}
    for option in options:
        row, _, file = option.partition("=")
        find_rows([row])
        if row not in patched_rows():
            names = ", ".join(patched_rows())
            raise typer.BadParameter(f"{option!r}: {row} takes no patches; these rows do: {names}")
        if row not in wanted:
            raise typer.BadParameter(f"{option!r}: {row} is not among --rows: name it there")
        if not Path(file).is_file():
            raise typer.BadParameter(f"{option!r}: give ROW=FILE, a file that exists")
        files[row] = Path(file)
    return files


def split(names: str | None) -> list[str]:
    """Names between commas."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def require_inspect() -> None:
    """Exit with one line if the extra is not installed."""
    if find_spec("inspect_ai") is None:
        typer.echo("error: this needs inspect_ai: pip install 'openk2[eval]'", err=True)
        raise typer.Exit(1)


@contextmanager
def one_line() -> Iterator[None]:
    """What keeps a run from starting is one line and exit status 1."""
    from openk2.eval import LocalServerError, NoSuchRowError, RunFolderError

    try:
        yield
    except (DataError, EndpointError, LocalServerError, NoSuchRowError, RunFolderError) as error:
        typer.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(1) from error
