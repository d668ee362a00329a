"""Open a local model for a command; what is wrong with it is one line and exit status 1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from openk2.cli.device import require_device
from openk2.pretrained import (
    HubName,
    LocalModel,
    LocalModelError,
    find_folder,
    hub_name,
    memory_check,
    open_model,
)


def open_local(model: str | Path, **options: Any) -> LocalModel:
    """The model of this name or folder, its engine running. options: of `open_model`."""
    require_device(options.get("device", "cpu"))
    try:
        return open_model(model, **options)
    except (LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def local_model(
    model: str, revision: str | None = None, memory: int | None = None, **options: Any
) -> str | Path:
    """What `open_local` is to open: a model of the hub is downloaded here, in the main thread,
    where Ctrl-C ends it, if it fits this machine.

    memory: of `open_model`: with it a model larger than memory fits. options: of `memory_check`.
    An error is one line and exit status 1.
    """
    try:
        hub = hub_name(model)
        if hub is None and revision is not None:
            raise LocalModelError(f"--revision is for models of the hub: {model} is none")
        if hub is None:
            return model
        require_device(options.get("device", "cpu"))
        hub = hub.at(revision)
        say_hub(hub)
        admit = None if memory is not None else memory_check(str(hub), **options)
        return find_folder(str(hub), admit=admit)
    except (LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def source_folder(
    source: str, refuse: Callable[[Path, int], object] = lambda folder, absent: None
) -> Path:
    """The checkpoint folder that a command reads. A model of the hub is downloaded if need be.

    refuse: is given the folder with its small files and the bytes to be downloaded into it, before
    they are, and raises if the command will refuse. Raises LocalModelError, and what `refuse`
    raises.
    """
    hub = hub_name(source)
    if hub is None:
        return Path(source)
    say_hub(hub)
    return find_folder(source, admit=lambda folder, _, absent: refuse(folder, absent))


def parse_hub_name(text: str) -> HubName:
    """The name of a model of the hub, where nothing else is meant. Raises LocalModelError."""
    name = HubName.parse(text)
    if name is None:
        raise LocalModelError(
            f"{text!r} is no name of a model on the hub: give ORGANISATION/NAME or "
            "ORGANISATION/NAME@REVISION"
        )
    return name


def say_hub(hub: HubName) -> None:
    """A mistyped path can look like a name: say that the hub is asked."""
    typer.echo(
        f"{hub} is no folder here: looking for it in the hub's cache and on the hub", err=True
    )
