"""`openk2 plan`: whether and how something can run, before it runs."""

import typer

from openk2.cli.plan_disk import disk
from openk2.cli.plan_serve import serve

app = typer.Typer(help="Plan what a machine can run, before it runs.", no_args_is_help=True)
app.command()(serve)
app.command()(disk)


@app.callback()
def plan() -> None:
    """Plan what a machine can run, before it runs."""
