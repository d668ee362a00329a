"""`openk2 deploy ENGINE`: from a plan to launch files, or vLLM on this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openk2.cli.deploy_model import find_model
from openk2.cli.deploy_run import LaunchOptions, run_here, stop
from openk2.cli.given_options import given_options
from openk2.cli.plan_options import (
    BatchedTokens,
    Cache,
    Concurrency,
    Context,
    GpuExperts,
    Sequences,
    ThisMachine,
    Utilization,
)
from openk2.cli.plan_serve import CACHE_NUMBERS, find_subject, read_gpus
from openk2.deploy import (
    ENGINES,
    DeployError,
    Deployment,
    EngineFlags,
    Ports,
    choose_layout,
    deployment_dict,
    deployment_files,
    deployment_text,
    find_serving_engine,
    installed_flags,
    recorded_flags,
    write_files,
)
from openk2.pretrained import LocalModelError
from openk2.record import printable

if TYPE_CHECKING:
    from openk2.plan import ServingNode

ONLY_HERE = {"detach", "dtype", "log"}
OBEYED_HERE = ONLY_HERE | {
    "checkpoint", "extra", "context", "concurrency", "weights", "name", "port", "engine_port",
    "python", "run",
}  # fmt: skip
# Sizes of an engine whose experts are all on GPUs; the plan for kt-kernel has its own.
OF_PROFILE = {"utilization", "batched_tokens", "sequences"}

app = typer.Typer(help="Launch files for other engines, from a plan.", no_args_is_help=True)
app.command()(stop)


@app.callback()
def group() -> None:
    """Launch files for other engines, from a plan; or vLLM on this machine."""


def deploy(
    called: typer.Context,
    checkpoint: Annotated[
        str,
        typer.Argument(
            help="Checkpoint folder, k2, k2-0905, k2-thinking, k2.5, or ORGANISATION/NAME on the "
            "hub, of which only small files are downloaded.",
            show_default=False,
        ),
    ],
    extra: Annotated[
        list[str] | None,
        typer.Argument(help="After --: more flags of the engine, checked too.", metavar="-- FLAGS"),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(help="Node of `openk2 plan serve`'s catalogue (h200, ...), or a TOML file."),
    ] = None,
    this_machine: ThisMachine = False,
    gpus: Annotated[
        str | None,
        typer.Option(help="Numbers with commas. Default: a node, also 2 and 4 of eight GPUs."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help='As the plan names it, "TP8 PP2". Default: the best of the fewest GPUs.'),
    ] = None,
    context: Context = None,
    concurrency: Concurrency = 1,
    weights: Annotated[
        str | None,
        typer.Option(help="Format of --model-path's weights, or if config.json does not say it."),
    ] = None,
    cache: Cache = "bf16",
    utilization: Utilization = None,
    batched_tokens: BatchedTokens = None,
    sequences: Sequences = None,
    gpu_experts: GpuExperts = 1,
    model_path: Annotated[
        str | None,
        typer.Option(help="Where nodes have the checkpoint, if not at the same path as here."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What clients call the model. Default: the folder's name.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The gateway's.")] = 8000,
    engine_port: Annotated[int, typer.Option(min=1, max=65535, help="The engine's.")] = 8001,
    image: Annotated[str | None, typer.Option(help="Container image of the engine.")] = None,
    gateway_image: Annotated[str, typer.Option(help="Container image of openk2.")] = "openk2",
    python: Annotated[
        Path | None,
        typer.Option(help="Interpreter with the engine: its own parser then checks the flags."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write the files to; earlier launch files are replaced."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    run: Annotated[
        bool, typer.Option("--run", help="vLLM and the gateway here, on CPUs, until Ctrl-C.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", help="With --run: return when both answer.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="With --run: of vLLM's weights.")] = "auto",
    log: Annotated[
        Path | None, typer.Option(help="With --run: file of the processes' output.")
    ] = None,
) -> None:
    """Commands of every node, and with --out files for Kubernetes, Slurm, Ray and docker compose.

    \b
    Examples:
      openk2 deploy vllm k2 --machine h200
      openk2 deploy sglang k2-thinking --machine h200 --gpus 8 --layout TP8 --out launch
      openk2 deploy vllm ./kimi-k2 --machine h100 --gpus 32 -- --enable-prefix-caching
      openk2 deploy vllm openk2-nano --run --python vllm-env/bin/python --detach

    Exit status: 0, or 1 with one line that says what is refused and the remedy.
    """
    from openk2.chat import RenderError, TokenizerError
    from openk2.config import RecipeError
    from openk2.plan import ServingDemand, ServingError, find_engine, plan_serving

    more = tuple(extra or ())
    try:
        engine = find_serving_engine(str(called.info_name))
        if cache not in CACHE_NUMBERS:
            raise DeployError(f"--cache is {cache!r}: give bf16 or fp8")
        check_options(called, engine.id, run=run)
        if run:
            options = LaunchOptions(
                checkpoint, name, weights, context, concurrency, python, port, engine_port, dtype,
                log, more,
            )  # fmt: skip
            run_here(options, detach=detach)
            return
        subject = find_subject(checkpoint, weights)
        model = find_model(checkpoint, subject, model_path, name)
        window = context or subject.network.max_position_embeddings
        demand = ServingDemand(window, concurrency, cache_number=CACHE_NUMBERS[cache])
        node = find_machine(machine, this=this_machine)
        profile = find_engine(
            engine.profile, utilization=utilization, batched_tokens=batched_tokens,
            sequences=sequences,
        )  # fmt: skip
        counts = read_gpus(gpus, node.gpus)
        plan = plan_serving(subject, node, profile, demand, counts, gpu_experts)
        planned = choose_layout(plan, engine, layout)
        flags: EngineFlags = (
            recorded_flags(engine.id) if python is None else installed_flags(engine.id, python)
        )
        ports = Ports(port, engine_port)
        deployment = Deployment(
            engine, model, plan, planned, flags, ports, more, gpu_experts, image, gateway_image
        )
        files = deployment_files(deployment)
        if out is not None:
            write_files(out, files)
    except (
        DeployError, LocalModelError, OSError, RecipeError, RenderError, ServingError,
        TokenizerError,
    ) as error:  # fmt: skip
        typer.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(deployment_dict(deployment, files)))
        return
    typer.echo(printable_lines(deployment_text(deployment)))
    if out is not None:
        typer.echo(f"\nwritten to {printable(str(out))}: {', '.join(sorted(files))}")


for _engine in ENGINES:
    app.command(_engine.id)(deploy)


def check_options(called: typer.Context, engine: str, *, run: bool) -> None:
    """Raise DeployError for an option that this engine, with or without --run, does not obey."""
    if run and engine != "vllm":
        raise DeployError(f"--run starts vllm only, whose wheels for CPUs exist, not {engine}")
    for name in given_options(called):
        flag = "--json" if name == "as_json" else f"--{name.replace('_', '-')}"
        if run and name not in OBEYED_HERE:
            raise DeployError(f"{flag} has no effect with --run: leave it out")
        if not run and name in ONLY_HERE:
            raise DeployError(f"{flag} is for --run: give both")
        if name in OF_PROFILE if engine == "ktransformers" else name == "gpu_experts":
            raise DeployError(f"{flag} has no effect for {engine}: leave it out")


def find_machine(name: str | None, *, this: bool) -> "ServingNode":
    """The node of the plan. Raises ServingError."""
    from openk2.plan import ServingError, find_node, this_node

    if (name is None) != this:
        raise ServingError("give one of --machine NAME and --this-machine")
    return this_node() if name is None else find_node(name)


def printable_lines(text: str) -> str:
    """The text for a terminal, its lines kept."""
    lines: Sequence[str] = text.split("\n")
    return "\n".join(printable(line) for line in lines)
