"""`openk2 pretrain RECIPE --dry-run`: what a run would cost, before there is anything to run."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

RATES = {"nvlink": 1e9, "network": 1e9, "host": 1e9, "flops": 1e12}


@dataclass(frozen=True)
class DryRun:
    """What the command was told beside the recipe. Each but `gpus` may be left out."""

    gpus: str = "1"
    vocabulary: int | None = None
    length: int | None = None
    shape_of: Path | None = None
    machine: str = ""
    fused_attention: bool = False
    as_json: bool = False

    def set_aside(self) -> list[str]:
        """The options that were given, though nothing is to be planned."""
        return [
            f"--{field.name.removeprefix('as_').replace('_', '-')}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]

    def run(self, file: Path) -> None:
        """`show`; what is wrong is one line and exit status 1."""
        from openk2.chat import TokenizerError
        from openk2.data import DataError

        try:
            self.show(file)
        except (DataError, OSError, TokenizerError, ValueError) as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from error

    def show(self, file: Path) -> None:
        """Plan the recipe in `file` and print. Raises RecipeError, ConfigError or ValueError."""
        from openk2.config import read_recipe
        from openk2.plan import (
            Machine,
            Planner,
            as_dict,
            find_subject,
            heading,
            memory_table,
            time_table,
        )
        from openk2.train import Recipe

        recipe = read_recipe(file, Recipe)
        counts = read_counts(self.gpus)
        machine = dataclasses.replace(Machine(), **read_rates(self.machine, Machine()))
        shape = None if self.shape_of is None else read_recipe(self.shape_of, Recipe).shape
        if self.shape_of is not None and shape is None:
            raise ValueError(f"{self.shape_of} has no [shape]: name the recipe that has")
        subject = find_subject(recipe, vocabulary=self.vocabulary, length=self.length, shape=shape)
        planner = Planner(
            recipe, subject.config, subject.length, machine, fused=self.fused_attention
        )
        plans = [planner.plan(count) for count in counts]
        if self.as_json:
            typer.echo(json.dumps({"assumed": subject.assumed, "plans": list(map(as_dict, plans))}))
            return
        console = Console(width=None if Console().is_terminal else 100, highlight=False)
        for line in subject.assumed:
            typer.echo(f"assumed: {line}")
        for plan in plans:
            typer.echo(f"\n{heading(plan)}\n")
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


def read_rates(text: str, default: object) -> dict[str, Any]:
    """`nvlink=160,flops=989` -> a machine's fields; rates are in GB/s and TFLOP/s.

    Raises ValueError naming what is no field or no number.
    """
    known = {field.name: field.type for field in dataclasses.fields(default)}  # type: ignore[arg-type]
    rates: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            raise ValueError(f"--machine has {name!r}: it knows {', '.join(known)}")
        try:
            rates[name] = int(value) if name == "node" else float(value) * RATES.get(name, 1)
        except ValueError as error:
            raise ValueError(f"--machine has {part!r}: give a number, as in {name}=8") from error
    return rates
