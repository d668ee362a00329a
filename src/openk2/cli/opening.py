"""Open a local model for a command; what is wrong with it is one line and exit status 1."""

from typing import Any

import typer

from openk2.cli.device import require_device
from openk2.pretrained import LocalModel, LocalModelError, open_model


def open_local(model: str, **options: Any) -> LocalModel:
    """The model of this name or folder, its engine running. options: of `open_model`."""
    require_device(options.get("device", "cpu"))
    try:
        return open_model(model, **options)
    except (LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
