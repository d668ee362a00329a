"""`openk2 pretrain` and `openk2 sft`: a recipe run to its end."""

import signal
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openk2.cli.device import require_device
from openk2.cli.dry_run import DryRun
from openk2.cli.interruption import stoppable

if TYPE_CHECKING:
    from openk2.train import StepProgress, StepReport

RecipeFile = Annotated[Path, typer.Argument(help="Recipe, TOML; see recipes/.")]
OutFolder = Annotated[Path, typer.Option("--out", help="Folder of the run; resumed if it exists.")]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; torch's choice by default.")]


def pretrain(
    recipe: Annotated[Path | None, typer.Argument(help="Recipe, TOML; see recipes/.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; resumed if it exists.")
    ] = None,
    device: Device = "cpu",
    threads: Threads = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show memory, messages and time; run nothing.")
    ] = False,
    gpus: Annotated[str, typer.Option(help="Dry run: on so many, as in 256,1024.")] = "1",
    vocabulary: Annotated[
        int | None, typer.Option(min=1, help="Dry run: ids, in place of the tokenizer's.")
    ] = None,
    length: Annotated[
        int | None, typer.Option(min=1, help="Dry run: tokens a row, in place of the recipe's.")
    ] = None,
    shape_of: Annotated[
        Path | None, typer.Option(help="Dry run: the recipe whose network this one starts from.")
    ] = None,
    machine: Annotated[
        str,
        typer.Option(
            help="Dry run: a GPU in GB/s, TFLOP/s and GB; nvlink=160,network=50,host=50,flops=989,"
            "efficiency=0.4,node=8,memory=80,ram=2000 unless said otherwise. `measured` takes "
            "flops and memory from --device of this machine."
        ),
    ] = "",
    plain_attention: Annotated[
        bool,
        typer.Option(
            "--plain-attention/--fused-attention",
            help="Dry run: attention in plain operations, as training has it, or as one kernel.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Dry run: one JSON object.")] = False,
    init: Annotated[
        Path | None, typer.Option(help="Write a commented recipe to this new file; run nothing.")
    ] = None,
) -> None:
    """Train a fresh network, or go on with a checkpoint, on running text.

    \b
    Examples:
      openk2 pretrain --init my-recipe.toml
      openk2 pretrain recipes/nano/pretrain.toml --out out/nano/base
      openk2 pretrain recipes/k2/pretrain.toml --dry-run --gpus 256,1024,2048
    """
    plan = DryRun(gpus, vocabulary, length, shape_of, machine, plain_attention, as_json)
    planning: dict[str, object] = dict.fromkeys(plan.set_aside(), True)
    training: dict[str, object] = {"--out": out, "--threads": threads}
    if init is not None:
        more = {"RECIPE": recipe, "--device": device != "cpu", "--dry-run": dry_run}
        refuse(more | training | planning, "--init, which writes a recipe and runs nothing")
        write_starter(init)
        return
    if recipe is None:
        raise typer.BadParameter("RECIPE is missing: name a file, or write one with --init FILE")
    if dry_run:
        refuse(training, "--dry-run, which runs nothing")
        plan.run(recipe, device)
        return
    if planning:
        raise typer.BadParameter(f"{next(iter(planning))} goes with --dry-run")
    if out is None:
        raise typer.BadParameter("--out is missing: name the folder of the run")
    run(recipe, out, device, threads, tuning=False)


def sft(
    recipe: RecipeFile, out: OutFolder, device: Device = "cpu", threads: Threads = None
) -> None:
    """Fine-tune a checkpoint on conversations; only what the assistant writes is learned.

    Example: openk2 sft recipes/nano/sft.toml --out out/nano/instruct
    """
    run(recipe, out, device, threads, tuning=True)


def refuse(options: Mapping[str, object], mode: str) -> None:
    """Raise BadParameter for the first of `options` that was given: it would not be obeyed."""
    for name, value in options.items():
        if value is not None and value is not False:
            raise typer.BadParameter(f"{name} does not go with {mode}: leave it out")


def write_starter(file: Path) -> None:
    """Write the commented recipe; a file that exists is left alone."""
    text = files("openk2.train").joinpath("starter.toml").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except OSError as error:
        remedy = "name another file" if file.exists() else error.strerror
        typer.echo(f"error: {file} cannot be written: {remedy}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{file}: set tokenizer and data, then: openk2 pretrain {file} --out OUT")


def run(file: Path, out: Path, device: str, threads: int | None, *, tuning: bool) -> None:
    """Read the recipe, train, print a line a step; what is wrong is one line and exit status 1."""
    from openk2.cli.memory import keep_freed_memory

    keep_freed_memory()
    require_device(device)
    import torch

    from openk2.chat import TokenizerError
    from openk2.checkpoint import CheckpointError
    from openk2.config import RecipeError, read_recipe
    from openk2.data import DataError
    from openk2.parallel import FleetError
    from openk2.train import Recipe, StateError, Stopped, TrainingError, join, train

    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with stoppable("the same command resumes from the last state") as stop:
            recipe = read_recipe(file, Recipe)
            fleet = join(recipe, device)
            if tuning and recipe.start is None:
                raise RecipeError(f"{file}: this command needs start; `openk2 pretrain` runs it")
            say = typer.echo if fleet.leads else silence
            checkpoint = train(
                recipe,
                out,
                device=device,
                tuning=tuning,
                show=show,
                announce=say,
                fleet=fleet,
                stop=stop,
            )
    except Stopped as stopped:
        number = stop.number or signal.SIGTERM
        if fleet.leads:
            typer.echo(f"{number.name}: {stopped}", err=True)
        raise typer.Exit(128 + number) from stopped
    except (
        CheckpointError,
        DataError,
        FleetError,
        OSError,
        RecipeError,
        StateError,
        TokenizerError,
        TrainingError,
    ) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    say(f"checkpoint in {checkpoint}")
    if stop.number:  # heard while the checkpoint was written: what follows must not begin
        raise typer.Exit(128 + stop.number)


def silence(_: str) -> None:
    """What all but the first process say."""


def show(progress: "StepProgress") -> None:
    """The progress line of one step."""
    report = progress.report
    typer.echo(
        f"{progress.step:6}/{progress.steps} loss {report.loss:.4f} lr {progress.lr:.2e} "
        f"{progress.tokens_per_second:.0f} tok/s grad {report.grad_norm:.2f} "
        f"max logit {report.max_logit:.1f} clipped {report.clipped_heads} "
        f"load +{report.load_violation:.2f} in layer {report.load_layer} idle {idle(report)}"
    )


def idle(report: "StepReport") -> str:
    """How many experts saw no token, and in which layers."""
    layers = [str(layer) for layer, count in enumerate(report.idle_by_layer) if count]
    return f"{report.idle_experts} in {','.join(layers)}" if layers else "0"
