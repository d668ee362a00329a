"""`openk2 pretrain RECIPE --dry-run`: what a run would cost, before there is anything to run."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from openk2.cli.device import require_device

if TYPE_CHECKING:
    from openk2.plan import Machine

UNITS = {
    **dict.fromkeys(("nvlink", "network", "host", "memory", "ram"), 1e9),
    "flops": 1e12,
    "efficiency": 1,
}
MEASURED = "measured"


@dataclass(frozen=True)
class DryRun:
    """What the command was told beside the recipe. Each but `gpus` may be left out."""

    gpus: str = "1"
    vocabulary: int | None = None
    length: int | None = None
    shape_of: Path | None = None
    machine: str = ""
    plain_attention: bool = False
    as_json: bool = False

    def set_aside(self) -> list[str]:
        """The options that were given, though nothing is to be planned."""
        return [
            f"--{field.name.removeprefix('as_').replace('_', '-')}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]

    def run(self, file: Path, device: str) -> None:
        """`show`; what is wrong is one line and exit status 1."""
        from openk2.chat import TokenizerError
        from openk2.data import DataError

        try:
            self.show(file, device)
        except (DataError, OSError, TokenizerError, ValueError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error

    def show(self, file: Path, device: str) -> None:
        """Plan the recipe in `file` and print. Raises RecipeError, ConfigError or ValueError.

        The kind of attention that is not planned gets its verdict too: what a recipe needs with
        the kernel it should have, and with the operations that training has.
        """
        from openk2.config import read_recipe
        from openk2.plan import (
            Planner,
            as_dict,
            find_subject,
            heading,
            memory_table,
            time_table,
            verdict,
        )
        from openk2.train import Recipe

        recipe = read_recipe(file, Recipe)
        counts = read_counts(self.gpus)
        machine = read_machine(self.machine, device, recipe.optimization.products)
        shape = None if self.shape_of is None else read_recipe(self.shape_of, Recipe).shape
        if self.shape_of is not None and shape is None:
            raise ValueError(f"{self.shape_of} has no [shape]: name the recipe that has")
        subject = find_subject(recipe, vocabulary=self.vocabulary, length=self.length, shape=shape)
        planner, other = (
            Planner(recipe, subject.config, subject.length, machine, fused=fused)
            for fused in (not self.plain_attention, self.plain_attention)
        )
        plans = [planner.plan(count) for count in counts]
        others = [other.plan(count) for count in counts]
        if self.as_json:
            dicts = [
                as_dict(plan) | {"fits_other_attention": it.fits}
                for plan, it in zip(plans, others, strict=True)
            ]
            typer.echo(json.dumps({"assumed": subject.assumed, "plans": dicts}))
            return
        console = Console(width=None if Console().is_terminal else 100, highlight=False)
        for line in subject.assumed:
            typer.echo(f"assumed: {line}")
        for plan, it in zip(plans, others, strict=True):
            typer.echo(f"\n{heading(plan)}\n{verdict(plan)}\n{verdict(it)}\n")
            console.print(memory_table(plan))
            console.print(time_table(plan))


def read_counts(text: str) -> list[int]:
    """`256,1024` -> numbers of GPUs. Raises ValueError."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [0]
    if min(counts) < 1:
        raise ValueError(f"--gpus is {text!r}: give whole numbers of 1 or more, as in 256,1024")
    return counts


def read_machine(text: str, device: str, products: str) -> "Machine":
    """`measured,nvlink=160,memory=141` -> a machine; rates in GB/s and TFLOP/s, memory in GB.

    measured: the memory of this machine's `device` and its rate of `products`, a dtype.
    Raises ValueError naming what is no key or no number, and for a device that is not measured.
    """
    from openk2.plan import Machine, measured

    machine = Machine()
    parts = [part for part in text.split(",") if part]
    if MEASURED in parts:
        from openk2.checkpoint import available_memory

        require_device(device)
        machine = measured(machine, device, available_memory(device), products)
        parts.remove(MEASURED)
    elif device != "cpu":
        raise ValueError(
            f"--device is {device}, and a dry run looks at it for --machine {MEASURED} only: add "
            "that, or leave --device out"
        )
    given = read_rates(parts)
    if not given.keys().isdisjoint(("flops", "memory")):
        given["source"] = f"{machine.source}; others by --machine"
    return dataclasses.replace(machine, **given)


def read_rates(parts: list[str]) -> dict[str, Any]:
    """`nvlink=160`, `flops=989` -> fields of a machine. Raises ValueError."""
    rates: dict[str, Any] = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name not in (*UNITS, "node"):
            raise ValueError(
                f"--machine has {name!r}: it knows {MEASURED}, {', '.join(UNITS)}, node"
            )
        try:
            rates[name] = int(value) if name == "node" else float(value) * UNITS[name]
        except ValueError as error:
            raise ValueError(f"--machine has {part!r}: give a number, as in {name}=8") from error
    return rates
