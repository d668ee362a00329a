"""Tensors -> checkpoint folder in the published layout, one tensor at a time.

The tensors come from a `TensorSource`: a model in memory, or another checkpoint, so that changing
the format of a checkpoint needs no more memory than one of its tensors.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.index import Index
from openk2.checkpoint.names import SCALE_SUFFIX, PublishedTensor, published_tensors
from openk2.checkpoint.safetensors_file import DTYPES, TensorSpec, sha256, write_file
from openk2.kernels import FP8_BLOCK, quantize
from openk2.model import K2Model
from openk2.record import write_file_atomically, write_folder_atomically

MAX_SHARD_BYTES = 5_000_000_000
ModelType = Literal["kimi_k2", "deepseek_v3"]


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


@dataclass(frozen=True)
class Format:
    """How a checkpoint is stored: linears in block fp8 (block given), other tensors in `dtype`.

    model_type: what config.json calls the network; both names mean the same one. "kimi_k2" is the
    published name; transformers (5.23) loads the experts under "deepseek_v3" only.
    Raises ValueError if dtype is not float32, bfloat16 or float16.
    """

    dtype: torch.dtype = torch.bfloat16
    block: tuple[int, int] | None = None
    model_type: ModelType = "kimi_k2"

    def __post_init__(self) -> None:
        if self.dtype not in (torch.bfloat16, torch.float32, torch.float16):
            raise ValueError(f"dtype is {self.dtype}: store float32, bfloat16 or float16")

    def specs(self, published: PublishedTensor) -> list[TensorSpec]:
        """The stored tensors of a published one."""
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return published.specs(self.block, name)

    def encode(self, published: PublishedTensor, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The stored tensors of `tensor`, in its published shape, by name, on the CPU.

        Quantized to blocks it is the weight in float8_e4m3fn and its scale_inv, see `quantize`.
        """
        if self.block is not None and published.linear:
            weight, scale_inv = quantize(tensor, self.block)
            yield published.name, weight.cpu()
            yield published.name + SCALE_SUFFIX, scale_inv.cpu()
        else:
            yield published.name, tensor.to("cpu", DTYPES[self.specs(published)[0].dtype])


def save_model(
    model: K2Model,
    folder: Path | str,
    *,
    block_fp8: bool = False,
    dtype: torch.dtype = torch.bfloat16,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write model and config.json as the new content of `folder`, whole or not at all.

    block_fp8: store linears in e4m3 with 128 x 128 blocks. dtype: of every other tensor (the
    router's bias is always float32). Whatever checkpoint `folder` held is replaced; a folder with
    other content raises CheckpointError.
    """
    form = Format(dtype, FP8_BLOCK if block_fp8 else None)
    refuse_other_content(Path(folder))
    with write_folder_atomically(Path(folder)) as new:
        write_tensors(ModelTensors(model), new, form, max_shard_bytes)


def refuse_other_content(folder: Path) -> None:
    """Raise CheckpointError if `folder` holds files and is no checkpoint: it is to be replaced."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").exists():
        raise CheckpointError(
            f"{folder} holds files that are no checkpoint, which writing one here would remove: "
            "name a new folder"
        )


def write_tensors(
    source: TensorSource, folder: Path, form: Format, max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write shards, then config.json, then the index into an existing `folder`.

    Not atomic by itself: for a folder that holds more than a model, inside
    `write_folder_atomically`.
    """
    shards = _plan_shards(published_tensors(source.config), form, max_shard_bytes)
    shard_of: dict[str, str] = {}
    checksums: dict[str, str] = {}
    total_size = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        specs = [spec for published in shard for spec in form.specs(published)]
        write_file(folder / name, specs, _encode(source, shard, form))
        checksums[name] = sha256(folder / name)
        shard_of |= {spec.name: name for spec in specs}
        total_size += sum(spec.bytes for spec in specs)
    config = json.dumps(_config(source.config, form), indent=2) + "\n"
    write_file_atomically(folder / "config.json", config)
    Index(shard_of, checksums).write(folder, total_size)


def _plan_shards(
    tensors: Iterable[PublishedTensor], form: Format, max_bytes: int
) -> list[list[PublishedTensor]]:
    """Fill shards in order; a tensor larger than max_bytes has one to itself."""
    shards: list[list[PublishedTensor]] = [[]]
    size = 0
    for published in tensors:
        more = sum(spec.bytes for spec in form.specs(published))
        if shards[-1] and size + more > max_bytes:
            shards.append([])
            size = 0
        shards[-1].append(published)
        size += more
    return shards


def _encode(
    source: TensorSource, shard: list[PublishedTensor], form: Format
) -> Iterator[tuple[str, Tensor]]:
    for published in shard:
        try:
            yield from form.encode(published, source.tensor(published))
        except ValueError as error:
            raise ValueError(f"{published.name}: {error}") from error


def _config(config: ModelConfig, form: Format) -> dict[str, Any]:
    data = replace(config, quantization=form.block).to_dict()
    if config.has_router_bias:  # V2's router has a name of its own, which `to_dict` writes
        data["model_type"] = form.model_type
    data["torch_dtype"] = str(form.dtype).removeprefix("torch.")
    # Names Python files of the original repository, which a checkpoint of ours does not hold.
    data.pop("auto_map", None)
    data.pop("dtype", None)
    return data
