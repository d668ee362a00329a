"""`openk2 eval canary`: are questions of the README's tables in a training corpus?"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import track

from openk2.cli.eval_readme import AsJson, Data, Rows, one_line, require_inspect, split
from openk2.record import printable

if TYPE_CHECKING:
    from openk2.chat import Tokenizer
    from openk2.eval import Canary

FOUND = 3
# The segment of a packed row's padding.
PADDING = -1


def canary(
    corpus: Annotated[
        list[Path], typer.Argument(help="Packed rows: files, domains or whole corpora.")
    ],
    tokenizer: Annotated[Path, typer.Option(help="Folder with the corpus's tiktoken.model.")],
    data: Data = None,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Look for the questions of every row whose data is here in training corpora.

    A question is found if 13 of its words in a row stand in a document, or the whole of a question
    of 8 to 12 words. Rows without data are named and left out, which is an error for those that
    --rows names.

    \b
    Examples:
      openk2 eval canary corpus --tokenizer tokenizer --data benchmarks
      openk2 eval canary chats.safetensors --tokenizer tokenizer --data benchmarks --rows math-500

    Exit status: 0 nothing found; 1 nothing could be read, or not all that --rows names; 3 a
    question was found.
    """
    with one_line():
        require_inspect()
        from openk2.chat import Tokenizer
        from openk2.eval import canary_of, find_rows

        names = split(rows)
        looking, missing = canary_of(find_rows(names), data)
        vocabulary = Tokenizer.load(tokenizer)
        files = [file for path in corpus for file in row_files(path)]
        for file in files if looking.rows else ():
            for document in documents(file, vocabulary):
                looking.read(document)
    report(looking, missing, as_json)
    if any(leak.found for leak in looking.rows.values()):
        raise typer.Exit(FOUND)
    if not looking.rows:
        typer.echo("error: no row has data: give --data", err=True)
        raise typer.Exit(1)
    if unread := [name for name in names if name in missing]:
        typer.echo(f"error: not looked for: {', '.join(unread)}", err=True)
        raise typer.Exit(1)


def row_files(path: Path) -> list[Path]:
    """The packed rows of a path: itself, or the domains of a whole corpus."""
    domains = sorted(manifest.parent for manifest in path.glob("*/manifest.json"))
    return domains or [path]


def documents(path: Path, tokenizer: "Tokenizer") -> Iterator[str]:
    """The text of every document's part in every row: no n-gram runs from one into the next."""
    from openk2.data import DataError, open_rows

    held = open_rows(path)
    if held.tokenizer_sha256 not in (None, tokenizer.digest()):
        raise DataError(f"{path} was made with another tokenizer: give that one's folder")
    console = Console(stderr=True)
    quiet = not console.is_terminal
    for number in track(range(len(held)), str(path), console=console, disable=quiet):
        tokens, segments, _ = held.row(number)
        for segment in sorted(set(segments.tolist()) - {PADDING}):
            yield tokenizer.decode(tokens[segments == segment].tolist())


def report(looking: "Canary", missing: dict[str, str], as_json: bool) -> None:
    """Print what was found of each row."""
    if as_json:
        found = [leak.to_json() for leak in looking.rows.values()]
        typer.echo(json.dumps({"rows": found, "left_out": missing}))
        return
    for row, reason in missing.items():
        typer.echo(printable(f"{row}: left out, {reason}"), err=True)
    for leak in looking.rows.values():
        looked = f"{len(leak.found)} of {leak.looked_for} questions found"
        typer.echo(f"{leak.row}: {looked}, {leak.untold} with too few words of their own to tell")
        for question, words in list(leak.found.items())[:3]:
            typer.echo(printable(f"  {question}: ... {words} ..."))
