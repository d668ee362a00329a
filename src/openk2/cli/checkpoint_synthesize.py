"""`openk2 checkpoint synthesize`: a random checkpoint of real widths, to try a machine with."""

import shutil
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from openk2.architecture import ConfigError, ModelConfig
from openk2.chat import Tokenizer, TokenizerError
from openk2.cli.bytes_bar import bytes_bar
from openk2.pretrained import DEFAULT_MODEL, LocalModelError, find_folder

K2 = "k2"
NO_TOKENIZER = "none"
TOKENIZER_FILES = ("tiktoken.model", "tokenizer_config.json", "chat_template.jinja")


class SyntheticFormat(StrEnum):
    """How linears are stored; in int4 the routed experts only, as K2-Thinking's."""

    BF16 = "bf16"
    BLOCK_FP8 = "block-fp8"
    INT4 = "int4"


def synthesize(
    target: Annotated[
        Path, typer.Argument(help="Folder to write; a checkpoint there is replaced.")
    ],
    config: Annotated[
        str, typer.Option(help="k2, or a config.json (or its folder) of the same architecture.")
    ] = K2,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers to write, the dense ones first; default: all.")
    ] = None,
    weights: Annotated[
        SyntheticFormat, typer.Option("--format", help="How linears are stored.")
    ] = SyntheticFormat.BLOCK_FP8,
    tokenizer: Annotated[
        str,
        typer.Option(
            help="Built-in model or folder whose tokenizer is copied, and sizes the vocabulary, so "
            "that the result can be served; none keeps the config's vocabulary."
        ),
    ] = DEFAULT_MODEL,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
) -> None:
    """Write a random checkpoint of real widths, its router skewed as in real models.

    For measuring: what it says is noise. The free disk is checked before anything is written.

    \b
    Examples:
      openk2 checkpoint synthesize --config k2 --layers 2 ./k2-two-layers
      openk2 serve ./k2-two-layers --memory 8GiB
    """
    from openk2.checkpoint import CheckpointError, synthesize_checkpoint

    try:
        shape = ModelConfig() if config == K2 else ModelConfig.read(Path(config))
        if layers is not None:
            shape = replace(shape, num_hidden_layers=layers, num_nextn_predict_layers=0)
        files = None if tokenizer == NO_TOKENIZER else tokenizer_folder(tokenizer)
        if files is not None:
            shape = with_vocabulary(shape, Tokenizer.load(files))
        with bytes_bar("writing") as show:
            written = synthesize_checkpoint(
                shape,
                target,
                weights.value,
                seed=seed,
                beside=lambda folder: copy_tokenizer(files, folder),
                progress=show,
            )
    except (CheckpointError, ConfigError, TokenizerError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{target}: {written:,} bytes of random weights")


def tokenizer_folder(name: str) -> Path:
    """The folder of a built-in model's tokenizer, or of a checkpoint's."""
    try:
        return find_folder(name)
    except LocalModelError as error:
        raise TokenizerError(str(error)) from error


def with_vocabulary(shape: ModelConfig, tokenizer: Tokenizer) -> ModelConfig:
    """The shape with the tokenizer's vocabulary and special ids."""
    return replace(
        shape,
        vocab_size=tokenizer.vocab_size,
        bos_token_id=tokenizer.special("[BOS]"),
        eos_token_id=tokenizer.special("[EOS]"),
        pad_token_id=tokenizer.special("[PAD]"),
    )


def copy_tokenizer(source: Path | None, folder: Path) -> None:
    """Copy the files that chat needs, if there are any."""
    for name in TOKENIZER_FILES if source is not None else ():
        assert source is not None
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
