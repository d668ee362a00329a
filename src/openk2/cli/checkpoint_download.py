"""`openk2 checkpoint download`: a model of the hub into its cache, whether it fits or not."""

import json
from typing import Annotated

import typer

from openk2.cli.opening import parse_hub_name
from openk2.pretrained import LocalModelError, fetch_model


def download(
    name: Annotated[
        str, typer.Argument(help="ORGANISATION/NAME on the hub, or ORGANISATION/NAME@REVISION.")
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; default: the main branch.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Download what openk2 reads of a model into the hub's cache, and print the folder.

    \b
    Examples:
      openk2 checkpoint download moonshotai/Moonlight-16B-A3B-Instruct
      openk2 checkpoint download moonshotai/Kimi-K2-Instruct --revision main

    Run again after an interruption: complete files are kept. Every weight file is compared with the
    hub's SHA-256. HF_HUB_CACHE says where the cache is, HF_TOKEN who asks.
    """
    try:
        hub = parse_hub_name(name).at(revision)
        folder = fetch_model(hub)
    except (LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(
            json.dumps({"name": hub.repository, "commit": folder.name, "folder": str(folder)})
        )
    else:
        typer.echo(str(folder))
