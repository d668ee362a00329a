"""`openk2 checkpoint`: look at a checkpoint, write it in another format."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from openk2.architecture import Int4, Quantization, count_parameters
from openk2.chat import TOKENIZER_FILE, Tokenizer, TokenizerError
from openk2.checkpoint import (
    CheckpointError,
    CheckpointInfo,
    Conversion,
    Format,
    convert_checkpoint,
    export_checkpoint,
    open_checkpoint,
    plan_conversion,
    plan_export,
    plan_gguf,
    verify_checkpoint,
    write_gguf,
)
from openk2.cli.checkpoint_download import download
from openk2.cli.checkpoint_synthesize import StoredForm, synthesize
from openk2.cli.opening import source_folder
from openk2.pretrained import LocalModelError
from openk2.record import bytes_bar

app = typer.Typer(
    help="Verify, describe, convert, download and make up checkpoints.", no_args_is_help=True
)
app.command()(download)
app.command()(synthesize)

Source = Annotated[str, typer.Argument(help="Folder of the checkpoint, or its name on the hub.")]


class ConvertFormat(StrEnum):
    """What `convert` writes: a folder, or a file for llama.cpp."""

    BF16 = "bf16"
    BLOCK_FP8 = "block-fp8"
    INT4 = "int4"
    GGUF_BF16 = "gguf-bf16"
    GGUF_Q8_0 = "gguf-q8_0"


class Name(StrEnum):
    """What config.json calls the network."""

    DEEPSEEK_V3 = "deepseek_v3"
    KIMI_K2 = "kimi_k2"


@app.command()
def info(
    path: Source,
    deep: Annotated[bool, typer.Option(help="Also compare every shard's checksum.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Verify a checkpoint and say what it holds. Exit status 1 if it is broken.

    \b
    Examples:
      openk2 checkpoint info ./my-model
      openk2 checkpoint info ./my-model --deep --json
    """
    try:
        with bytes_bar("reading") if deep else nullcontext(lambda done, total: None) as progress:
            found = describe(verify_checkpoint(source_folder(path), deep=deep, progress=progress))
    except (CheckpointError, LocalModelError, OSError, TokenizerError) as error:
        if as_json:
            typer.echo(json.dumps({"folder": path, "valid": False, "error": str(error)}))
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        typer.echo(f"{name.replace('_', ' '):18} {_text(value)}")


@app.command()
def export(
    source: Source,
    target: Annotated[
        Path, typer.Argument(help="Folder to write; a checkpoint there is replaced.")
    ],
    dtype: Annotated[StoredForm, typer.Option(help="How linears are stored.")] = StoredForm.BF16,
    model_type: Annotated[
        Name, typer.Option(help="Name in config.json; transformers loads deepseek_v3 only.")
    ] = Name.DEEPSEEK_V3,
    max_shard_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of tensors in a shard at most.")
    ] = 5_000_000_000,
) -> None:
    """Write weights, configs and tokenizer for other engines, tensor by tensor.

    \b
    Examples:
      openk2 checkpoint export ./my-model ./for-vllm
      openk2 checkpoint export ./my-model ./my-model-fp8 --dtype block-fp8
    """
    try:
        stored_as = Format.named(dtype.value, model_type=model_type.value)
        folder = source_folder(
            source, lambda given, absent: plan_export(given, target, stored_as, absent)
        )
        with bytes_bar(f"writing {target.name}") as progress:
            export_checkpoint(
                folder,
                target,
                weights=dtype.value,
                model_type=model_type.value,
                max_shard_bytes=max_shard_bytes,
                progress=progress,
            )
        skipped = open_checkpoint(folder).skipped
    except (CheckpointError, LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    written = verify_checkpoint(target)
    typer.echo(f"{target}: {written.bytes:,} bytes in {len(written.shards)} shards, verified")
    say_left_out(skipped)


@app.command()
def convert(
    source: Source,
    target: Annotated[
        Path, typer.Argument(help="Folder to write, or file for GGUF; what is there is replaced.")
    ],
    form: Annotated[ConvertFormat, typer.Option("--format", help="How linears are stored.")],
    max_shard_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of tensors in a shard at most; not for GGUF.")
    ] = 5_000_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write a checkpoint in another format, in little memory; run again after a kill to go on.

    \b
    Examples:
      openk2 checkpoint convert ./Kimi-K2-Thinking ./for-training --format bf16
      openk2 checkpoint convert moonshotai/Moonlight-16B-A3B ./moonlight-fp8 --format block-fp8
      openk2 checkpoint convert ./my-model ./my-model-int4 --format int4 --json
      openk2 checkpoint convert ./my-model ./my-model.gguf --format gguf-q8_0
    """
    try:
        match form.value.removeprefix("gguf-"), form.value.startswith("gguf-"):
            case ("bf16" | "q8_0") as weights, True:
                folder = source_folder(
                    source, lambda given, absent: plan_gguf(given, target, weights, absent)
                )
                with bytes_bar(f"writing {target.name}") as progress:
                    size, flags = write_gguf(folder, target, weights, progress=progress)
                found: dict[str, Any] = {"file": str(target), "bytes": size, "flags": flags}
            case ("bf16" | "block-fp8" | "int4") as stored, _:
                folder = source_folder(
                    source, lambda given, absent: plan_conversion(given, target, stored, absent)
                )
                with bytes_bar(f"writing {target.name}") as progress:
                    done = convert_checkpoint(
                        folder, target, stored, max_shard_bytes=max_shard_bytes, progress=progress
                    )
                found = {**asdict(done), "folder": str(done.folder)}
        found["skipped"] = dict(open_checkpoint(folder).skipped)
    except (CheckpointError, LocalModelError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    elif "file" in found:
        typer.echo(f"{target}: {found['bytes']:,} bytes")
        if flags:
            typer.echo(f"llama.cpp reads these from its command line only: {' '.join(flags)}")
    else:
        typer.echo(_conversion_text(done))
    if not as_json:
        say_left_out(found["skipped"])


def say_left_out(skipped: Mapping[str, int]) -> None:
    """Which tensors of the source were not written, if there are any."""
    if skipped:
        kinds = ", ".join(f"{count} {kind} tensors" for kind, count in skipped.items())
        typer.echo(f"left out, because openk2 reads the text network alone: {kinds}")


def _conversion_text(done: Conversion) -> str:
    kept = f", {done.kept_shards} of them from an interrupted run" if done.kept_shards else ""
    return "\n".join(
        [
            f"{done.folder}: {done.bytes:,} bytes in {done.shards} shards{kept}, verified; "
            f"{done.seconds:,.1f} s",
            "relative error added, by kind of tensor (norm of the change / norm):",
            *(f"  {kind:20} {_percent(share)}" for kind, share in done.added_error.items()),
        ]
    )


def _percent(share: float) -> str:
    return f"{share:.3%}" if share else "none: kept exactly"


def describe(checkpoint: CheckpointInfo) -> dict[str, Any]:
    """What `info` prints. Raises TokenizerError if the folder's tokenizer is damaged."""
    config, folder = checkpoint.config, checkpoint.folder
    has_tokenizer = (folder / TOKENIZER_FILE).exists()
    return {
        "folder": str(folder),
        "valid": True,
        "contents_verified": checkpoint.contents_verified,
        "parameters": asdict(count_parameters(config)),
        "shape": {
            "layers": config.num_hidden_layers,
            "hidden_size": config.hidden_size,
            "heads": config.num_attention_heads,
            "experts": config.n_routed_experts,
            "experts_per_token": config.num_experts_per_tok,
            "vocab_size": config.vocab_size,
            "context_length": config.max_position_embeddings,
        },
        "weights": weights_name(config.quantization),
        "bytes": checkpoint.bytes,
        "bytes_by_dtype": checkpoint.bytes_by_dtype,
        "tensors": checkpoint.tensors,
        "skipped": checkpoint.skipped or None,
        "shards": list(checkpoint.shards),
        "tokenizer_ids": Tokenizer.load(folder).vocab_size if has_tokenizer else None,
    }


def weights_name(quantization: Quantization | None) -> str:
    """What a person calls it."""
    if quantization is None:
        return "plain"
    return "int4" if isinstance(quantization, Int4) else "block-fp8"


def _text(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{name.replace('_', ' ')} {_text(of)}" for name, of in value.items())
        case list() if len(value) > 2:
            return f"{len(value)}: {value[0]} to {value[-1]}"
        case list():
            return ", ".join(value)
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
    return "none" if value is None else str(value)
