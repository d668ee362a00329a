"""`openk2 plan serve`: will it fit, how, how fast and at what price?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

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
from openk2.pretrained import LocalModelError, fetch_config, hub_name
from openk2.record import printable, write_file_atomically

if TYPE_CHECKING:
    from openk2.plan import ServedSubject, ServingPlan

NOTHING_FITS, ONLY_OFFLOADED = 3, 4
CACHE_NUMBERS = {"bf16": 2, "fp8": 1}
WIDTH = 140


def serve(
    model: Annotated[
        str,
        typer.Argument(
            help="Checkpoint folder, config.json, k2, k2-0905, k2-thinking, k2.5, or "
            "ORGANISATION/NAME on the hub, of which only small files are downloaded.",
            show_default=False,
        ),
    ],
    machine: Annotated[
        str | None,
        typer.Option(help="Node of the catalogue (h200, h100, ...) or a TOML file of that form."),
    ] = None,
    this_machine: ThisMachine = False,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="Numbers with commas; 0 is CPUs alone. Default: a node, also 2 and 4 of eight."
        ),
    ] = None,
    context: Context = None,
    concurrency: Concurrency = 1,
    prompt: Annotated[int, typer.Option(min=1, help="Tokens of a prompt, for the rates.")] = 4000,
    answer: Annotated[int, typer.Option(min=1, help="Tokens of an answer, for the rates.")] = 1000,
    weights: Annotated[
        str | None,
        typer.Option(help="bf16, block-fp8, int4, nvfp4 or q4_k_m in place of the model's own."),
    ] = None,
    cache: Cache = "bf16",
    engine: Annotated[str, typer.Option(help="vllm or sglang.")] = "vllm",
    utilization: Utilization = None,
    batched_tokens: BatchedTokens = None,
    sequences: Sequences = None,
    gpu_experts: GpuExperts = 1,
    price: Annotated[float | None, typer.Option(help="Dollars a GPU and hour.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page with bars here.")] = None,
) -> None:
    """Will it fit, how, how fast and at what price? Every layout, impossible ones with the reason.

    \b
    Examples:
      openk2 plan serve k2 --machine h200
      openk2 plan serve k2-thinking --machine h200 --gpus 8 --price 2.3 --html plan.html
      openk2 plan serve ./my-model --this-machine
      openk2 plan serve deepseek-ai/DeepSeek-V3 --machine h100

    Exit status: 0 it fits on the GPUs, or in RAM if there are none; 1 wrong input; 3 nothing fits;
    4 it fits only with experts in RAM or on disk.
    """
    from openk2.config import RecipeError
    from openk2.plan import (
        ServingDemand,
        ServingError,
        ServingWork,
        find_engine,
        find_node,
        plan_serving,
        serving_page,
        this_node,
    )

    try:
        if (machine is None) != this_machine:
            raise ServingError("give one of --machine NAME and --this-machine")
        if cache not in CACHE_NUMBERS:
            raise ServingError(f"--cache is {cache!r}: give bf16 or fp8")
        subject = find_subject(model, weights)
        node = this_node(gpus=gpus != "0") if machine is None else find_node(machine)
        profile = find_engine(
            engine, utilization=utilization, batched_tokens=batched_tokens, sequences=sequences
        )
        demand = ServingDemand(
            context or subject.network.max_position_embeddings,
            concurrency,
            ServingWork(prompt, answer),
            CACHE_NUMBERS[cache],
            price,
        )
        counts = read_gpus(gpus, node.gpus)
        plan = plan_serving(subject, node, profile, demand, counts, gpu_experts)
        if html is not None:
            write_file_atomically(html, serving_page(plan))
    except (LocalModelError, OSError, RecipeError, ServingError) as error:
        typer.echo(f"error: {printable(' '.join(str(error).split()))}", err=True)
        raise typer.Exit(1) from error
    show(plan, as_json)
    if not plan.at_home:
        raise typer.Exit(ONLY_OFFLOADED if plan.offloaded else NOTHING_FITS)


def find_subject(source: str, weights: str | None) -> "ServedSubject":
    """The network that the command's argument names. Raises LocalModelError, ServingError."""
    from openk2.plan import find_served

    hub = hub_name(source)
    if hub is None:
        return find_served(source, weights)
    config = fetch_config(hub) / "config.json"
    return replace(find_served(str(config), weights), title=str(hub))


def read_gpus(text: str | None, node: int) -> list[int]:
    """`8,16` -> numbers of GPUs; without a text a node, and 2 and 4 nodes of eight GPUs.

    Raises ServingError.
    """
    from openk2.plan import ServingError

    if text is None:
        return [node, 2 * node, 4 * node] if node >= 8 else [node]
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [-1]
    wrong = [count for count in counts if count < 0 or (count > node and count % max(node, 1))]
    if wrong or (not node and any(counts)):
        raise ServingError(
            f"--gpus is {text!r}: give whole numbers as in 8,16; more than a node's {node} must be "
            "whole nodes"
        )
    return counts


def show(plan: "ServingPlan", as_json: bool) -> None:
    """Print the plan."""
    from openk2.plan import (
        fitting_table,
        impossible_table,
        serving_dict,
        serving_heading,
        serving_verdict,
    )

    if as_json:
        typer.echo(json.dumps(serving_dict(plan)))
        return
    console = Console(width=None if Console().is_terminal else WIDTH, highlight=False)
    typer.echo(f"{printable(serving_heading(plan))}\n\n{printable(serving_verdict(plan))}\n")
    for table in (fitting_table(plan), impossible_table(plan)):
        if table.row_count:
            console.print(table)
