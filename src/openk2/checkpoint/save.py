"""Tensors -> checkpoint folder in the published layout, one tensor at a time.

The tensors come from a `TensorSource`: a model in memory, or another checkpoint, so that changing
the format of a checkpoint needs no more memory than one of its tensors.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint.format import (
    MAX_SHARD_BYTES,
    Format,
    Weights,
    config_text,
    plan_shards,
    shard_name,
)
from openk2.checkpoint.index import Index
from openk2.checkpoint.names import PublishedTensor, published_tensors
from openk2.checkpoint.safetensors_file import write_file
from openk2.checkpoint.target import refuse_other_content
from openk2.model import K2Model
from openk2.record import file_sha256, write_file_atomically, write_folder_atomically

Progress = Callable[[int, int], None]


class TensorSource(Protocol):
    """Gives each published tensor of a config."""

    @property
    def config(self) -> ModelConfig: ...

    def tensor(self, published: PublishedTensor) -> Tensor:
        """The tensor in its published shape, read only.

        It is unquantized, in any float dtype, on any device.
        """
        ...


class ModelTensors:
    """A model in memory as a TensorSource."""

    def __init__(self, model: K2Model) -> None:
        self.config = model.config
        self._state = model.state_dict()

    def tensor(self, published: PublishedTensor) -> Tensor:
        """See `TensorSource.tensor`; shares the model's memory."""
        return published.of(self._state)


def save_model(
    model: K2Model,
    folder: Path | str,
    *,
    weights: Weights = "bf16",
    dtype: torch.dtype = torch.bfloat16,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write model and config.json as the new content of `folder`, whole or not at all.

    weights: how linears are stored: plain, in e4m3 with 128 x 128 blocks, or the routed experts in
    int4. dtype: of every other tensor (the router's bias is always float32). Whatever checkpoint
    `folder` held is replaced; a folder with other content raises CheckpointError.
    """
    form = Format.named(weights, dtype)
    refuse_other_content(Path(folder))
    with write_folder_atomically(Path(folder)) as new:
        write_tensors(ModelTensors(model), new, form, max_shard_bytes)


def write_tensors(
    source: TensorSource,
    folder: Path,
    form: Format,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    progress: Progress = lambda done, total: None,
) -> None:
    """Write shards, then config.json, then the index into an existing `folder`.

    Not atomic by itself: for a folder that holds more than a model, inside
    `write_folder_atomically`. progress: is called with bytes written and to be written in all.
    """
    form.refuse_rows(source.config)
    shards = plan_shards(published_tensors(source.config), form, max_shard_bytes)
    total_size, done = tensor_bytes(source.config, form), 0

    def counted(shard: list[PublishedTensor]) -> Iterator[tuple[str, Tensor]]:
        nonlocal done
        for name, tensor in _encode(source, shard, form):
            yield name, tensor
            progress(done := done + tensor.nbytes, total_size)

    shard_of: dict[str, str] = {}
    checksums: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        name = shard_name(number, len(shards))
        specs = [spec for published in shard for spec in form.specs(published)]
        write_file(folder / name, specs, counted(shard))
        checksums[name] = file_sha256(folder / name)
        shard_of |= {spec.name: name for spec in specs}
    write_file_atomically(folder / "config.json", config_text(source.config, form))
    Index(shard_of, checksums).write(folder, total_size)


def tensor_bytes(config: ModelConfig, form: Format) -> int:
    """Bytes of all tensors of a network stored in `form`."""
    return sum(spec.bytes for each in published_tensors(config) for spec in form.specs(each))


def _encode(
    source: TensorSource, shard: list[PublishedTensor], form: Format
) -> Iterator[tuple[str, Tensor]]:
    for published in shard:
        try:
            yield from form.encode(published, source.tensor(published))
        except ValueError as error:
            raise ValueError(f"{published.name}: {error}") from error
