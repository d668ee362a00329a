"""`openk2 plan disk`: how fast this disk would stream a model's experts, before a download."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from openk2.architecture import ConfigError, Int4, ModelConfig, Quantization


def disk(
    path: Annotated[
        Path, typer.Argument(help="Folder on the disk: a checkpoint, or where one would be.")
    ],
    hit_rate: Annotated[
        float,
        typer.Option(
            min=0, max=0.999, help="Share of a token's experts that memory holds (an assumption)."
        ),
    ] = 0.5,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=60, help="How long each way of reading is measured.")
    ] = 1.0,
    int4: Annotated[
        bool, typer.Option("--int4", help="Predict K2 in int4, as K2-Thinking is published.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure this disk's reads of experts and predict tokens a second of `serve --memory`.

    The model is PATH's, or K2 in block-fp8 if PATH holds no config.json. Without shards there, a
    scratch file of 1 GiB is written and removed.

    \b
    Examples:
      openk2 plan disk /data
      openk2 plan disk ./kimi-k2 --hit-rate 0.7 --json
    """
    import torch

    from openk2.checkpoint import CheckpointError, scale_dtypes_of_shards, stored_refusal
    from openk2.streaming import (
        GUESSING,
        OVERLAP,
        expert_form,
        files_to_read,
        measure_compute,
        measure_disk,
        measure_packing,
        predict,
    )

    def tell(line: str) -> None:
        typer.echo(line, err=True)

    dtype = torch.bfloat16
    try:
        config = config_of(path, int4)
        int4_there = isinstance(config.quantization, Int4)
        scales = scale_dtypes_of_shards(path) if int4_there else frozenset()
        refusal = stored_refusal(config, scales)
        if refusal is not None and config.quantization is not None:
            tell(f"the weights are dequantized, as `serve` does: {refusal}")
        stored = refusal is None
        size = expert_form(config, dtype, stored).bytes
        console = Console(stderr=True)
        with (
            Progress(console=console, disable=not console.is_terminal, transient=True) as bar,
            files_to_read(path, size) as files,
        ):
            task = bar.add_task("reading")
            rates = measure_disk(
                files,
                size,
                seconds,
                tell=tell,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        compute = measure_compute(config, dtype, stored)
        packing = measure_packing(config, dtype, stored)
    except (CheckpointError, ConfigError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    best = max(each.rate for each in rates if each.order == "random")
    found = predict(
        config,
        disk=best,
        compute=compute,
        packing=packing,
        hit_rate=hit_rate,
        dtype=dtype,
        stored=stored,
    )
    if as_json:
        assumed = {"hit_rate": hit_rate, "overlap": OVERLAP, "guessing": GUESSING}
        measured = {
            "disk": [asdict(each) for each in rates],
            "compute": compute,
            "packing": packing,
        }
        typer.echo(json.dumps({**measured, "assumed": assumed, "predicted": asdict(found)}))
        return
    typer.echo(f"reads of one expert, {size / 1e6:.1f} MB, past the page cache:")
    for each in rates:
        typer.echo(f"  {each.order:10} {each.depth} at a time  {each.rate / 1e9:6.2f} GB/s")
    typer.echo(
        f"products of one token: {compute / 1e9:.1f} GB of weights a second; "
        f"an expert is packed in {packing * 1e3:.0f} ms"
    )
    typer.echo(
        f"a token reads {found.bytes_read / 1e9:.2f} GB: {hit_rate:.0%} of its experts assumed in "
        f"memory, {GUESSING - 1:.0%} more read for guesses"
    )
    typer.echo(
        f"reading {found.read_seconds:.2f} s, computing {found.compute_seconds:.2f} s, "
        f"{OVERLAP:.0%} of which is assumed to happen while the disk reads, packing each layer's "
        f"last expert {found.pack_seconds:.2f} s"
    )
    typer.echo(
        f"predicted: {found.tokens_per_second:.3f} tokens a second of one sequence "
        f"(by the disk alone: {found.bound:.3f})"
    )


def config_of(path: Path, int4: bool) -> ModelConfig:
    """The config in a folder, or K2's. Raises ConfigError for a folder that is not there, and for
    `int4` beside a config."""
    if (path / "config.json").is_file():
        if int4:
            raise ConfigError(
                f"{path} has a config.json, which says the format: leave --int4 out, or give a "
                "folder of this disk without one"
            )
        return ModelConfig.read(path)
    if not path.is_dir():
        raise ConfigError(f"{path} is not a folder: give one on the disk to be measured")
    form: Quantization = Int4(32) if int4 else (128, 128)
    return ModelConfig(quantization=form)
