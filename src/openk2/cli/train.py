"""`openk2 pretrain` and `openk2 sft`: a recipe run to its end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from openk2.train.loop import Progress

RecipeFile = Annotated[Path, typer.Argument(help="Recipe, TOML; see recipes/.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder of the run; resumed if it exists.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads; torch's choice by default.")]


def pretrain(
    recipe: RecipeFile, out: OutFolder, device: Device = "cpu", threads: Threads = None
) -> None:
    """Train a fresh network, or go on with a checkpoint, on running text.

    Example: openk2 pretrain recipes/nano/pretrain.toml --out out/nano/base
    """
    run(recipe, out, device, threads, tuning=False)


def sft(
    recipe: RecipeFile, out: OutFolder, device: Device = "cpu", threads: Threads = None
) -> None:
    """Fine-tune a checkpoint on conversations; only what the assistant writes is learned.

    Example: openk2 sft recipes/nano/sft.toml --out out/nano/instruct
    """
    run(recipe, out, device, threads, tuning=True)


def run(file: Path, out: Path, device: str, threads: int | None, *, tuning: bool) -> None:
    """Read the recipe, train, print a line a step; what is wrong is one line and exit status 1."""
    from openk2.cli.memory import keep_freed_memory

    keep_freed_memory()
    import torch
    import torch.distributed as dist

    from openk2.chat import TokenizerError
    from openk2.checkpoint import CheckpointError
    from openk2.config import RecipeError, read_recipe
    from openk2.data import DataError
    from openk2.parallel import ALONE, Replicas
    from openk2.train.loop import train
    from openk2.train.recipe import Recipe
    from openk2.train.resume import StateError
    from openk2.train.step import TrainingError

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        replicas = Replicas.join(device) if dist.is_torchelastic_launched() else ALONE
        recipe = read_recipe(file, Recipe)
        if tuning and recipe.start is None:
            raise RecipeError(f"{file}: this command needs start; `openk2 pretrain` runs it")
        announce = typer.echo if replicas.leads else silence
        checkpoint = train(
            recipe, out, device=device, show=show, announce=announce, replicas=replicas
        )
    except KeyboardInterrupt as error:
        typer.echo("interrupted: the same command resumes from the last checkpoint", err=True)
        raise typer.Exit(130) from error
    except (
        CheckpointError,
        DataError,
        OSError,
        RecipeError,
        StateError,
        TokenizerError,
        TrainingError,
    ) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    announce(f"checkpoint in {checkpoint}")


def silence(_: str) -> None:
    """What all but the first process say."""


def show(progress: "Progress") -> None:
    """The progress line of one step."""
    report = progress.report
    typer.echo(
        f"{progress.step:6}/{progress.steps} loss {report.loss:.4f} lr {progress.lr:.2e} "
        f"{progress.tokens_per_second:.0f} tok/s grad {report.grad_norm:.2f} "
        f"max logit {report.max_logit:.1f} clipped {report.clipped_heads} "
        f"load +{report.load_violation:.2f} idle {report.idle_experts}"
    )
