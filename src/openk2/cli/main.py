"""The `openk2` command. A subcommand's file is imported when it is asked for, and not before.

So `openk2 --help` needs no torch, and a command pays only for what it uses.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from openk2.cli.out_of_memory import memory_fault


@dataclass(frozen=True)
class Subcommand:
    """Where a subcommand is: `module` of openk2.cli, `name` in it, `help` for the overview.

    A function becomes a command, a `typer.Typer` a group of commands. lighter: what makes it take
    less memory, for the line that says there was not enough.
    """

    module: str
    name: str
    help: str
    lighter: str = "use a smaller input or a larger machine"


SMALLER = "use a smaller model or a larger machine"
LESS_CACHE = "lower --cache-memory, --max-batch or --context-length"
LESS_KEPT = "lower micro_rows, or set recompute, fp8_inputs or offload in [memory]"

SUBCOMMANDS = {
    "chat": Subcommand("chat", "chat", "Talk to a model in the terminal.", SMALLER),
    "serve": Subcommand(
        "serve", "serve", "Serve a model over HTTP, as OpenAI's clients expect.", LESS_CACHE
    ),
    "data": Subcommand("data", "app", "Make training data."),
    "pretrain": Subcommand(
        "train", "pretrain", "Train a fresh network on running text.", LESS_KEPT
    ),
    "sft": Subcommand("train", "sft", "Fine-tune a checkpoint on conversations.", LESS_KEPT),
    "eval": Subcommand("eval", "app", "Measure a model.", SMALLER),
    "verify": Subcommand("verify", "verify", "Check any OpenAI-compatible endpoint of Kimi K2."),
    "study": Subcommand("study", "study", "Small experiments on the report's claims."),
    "deploy": Subcommand(
        "deploy", "app", "Launch files for other engines, from a plan; or vLLM here.", SMALLER
    ),
    "plan": Subcommand("plan", "app", "Plan what a machine can run, before it runs."),
    "checkpoint": Subcommand(
        "checkpoint", "app", "Verify, describe, convert, download and make up checkpoints."
    ),
}


class LazyGroup(TyperGroup):
    """The group of SUBCOMMANDS."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the subcommand; a usage error names the nearest if there is none of that name."""
        if cmd_name not in SUBCOMMANDS:
            near = get_close_matches(cmd_name, SUBCOMMANDS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SUBCOMMANDS)}."
            ctx.fail(f"No such command {cmd_name!r}: {hint}")
        subcommand = SUBCOMMANDS[cmd_name]
        found = getattr(import_module(f"openk2.cli.{subcommand.module}"), subcommand.name)
        parent = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            parent.add_typer(found, name=cmd_name)
        else:
            parent.command(cmd_name)(found)
        return typer.main.get_group(parent).commands[cmd_name]

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand. Memory that ran out is one line and exit status 1."""
        try:
            return super().invoke(ctx)
        except (MemoryError, RuntimeError) as error:
            fault = memory_fault(error)
            if fault is None:
                raise
            remedy = SUBCOMMANDS[ctx.invoked_subcommand].lighter
            typer.echo(f"error: {fault}: {remedy}", err=True)
            raise typer.Exit(1) from error

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The overview, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.help) for name, command in SUBCOMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Answer --version."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"openk2 {version('openk2')}")
        raise typer.Exit


@app.callback()
def openk2(
    show_version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=print_version, help="Print the version."),
    ] = False,
) -> None:
    """The Kimi K2 system: network, training, engine and server.

    \b
    Examples:
      openk2 chat "What is a black hole?"
      openk2 serve
      openk2 checkpoint info ./my-model
    """


if __name__ == "__main__":
    app()
