"""`Format`: how a checkpoint is stored, and what of it each shard holds."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from openk2.architecture import Int4, ModelConfig, Quantization
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.names import (
    INT4_SCALE_SUFFIX,
    PACKED_SUFFIX,
    SCALE_SUFFIX,
    SHAPE_SUFFIX,
    PublishedTensor,
    published_tensors,
)
from openk2.checkpoint.safetensors_file import DTYPES, TensorSpec
from openk2.kernels import (
    FP8_BLOCK,
    INT4_GROUP,
    dequantize,
    dequantize_int4,
    quantize,
    quantize_int4,
)

MAX_SHARD_BYTES = 5_000_000_000
ModelType = Literal["kimi_k2", "deepseek_v3"]
# What the command line and `export_model` call the ways to store linears.
Weights = Literal["bf16", "block-fp8", "int4"]
QUANTIZATIONS: dict[Weights, Quantization | None] = {
    "bf16": None,
    "block-fp8": FP8_BLOCK,
    "int4": Int4(INT4_GROUP),
}


@dataclass(frozen=True)
class Format:
    """How a checkpoint is stored: linears as `quantization` says, other tensors in `dtype`.

    model_type: what config.json calls the network; both names mean the same one. "kimi_k2" is the
    published name; transformers (5.23) loads the experts under "deepseek_v3" only.
    Raises ValueError if dtype is not float32, bfloat16 or float16.
    """

    dtype: torch.dtype = torch.bfloat16
    quantization: Quantization | None = None
    model_type: ModelType = "kimi_k2"

    def __post_init__(self) -> None:
        if self.dtype not in (torch.bfloat16, torch.float32, torch.float16):
            raise ValueError(f"dtype is {self.dtype}: store float32, bfloat16 or float16")

    @classmethod
    def named(
        cls,
        weights: Weights,
        dtype: torch.dtype = torch.bfloat16,
        model_type: ModelType = "kimi_k2",
    ) -> "Format":
        """The format that the command line calls `weights`, other tensors in `dtype`."""
        return cls(dtype, QUANTIZATIONS[weights], model_type)

    def refuse_rows(self, config: ModelConfig) -> None:
        """Raise CheckpointError if int4's groups do not divide the rows that they are to store."""
        for published in published_tensors(config):
            form = published.stored_as(self.quantization)
            if isinstance(form, Int4) and published.shape[1] % form.group:
                raise CheckpointError(
                    f"{published.name} has rows of {published.shape[1]} values, which int4's "
                    f"groups of {form.group} do not divide: store it as block-fp8 or bf16"
                )

    def specs(self, published: PublishedTensor) -> list[TensorSpec]:
        """The stored tensors of a published one."""
        name = next(name for name, dtype in DTYPES.items() if dtype == self.dtype)
        return published.specs(self.quantization, name)

    def encode(self, published: PublishedTensor, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """The stored tensors of `tensor`, rows of the published one, by name, on the CPU.

        Quantized they are what `quantize` and `quantize_int4` make; int4's shape is the published
        one. In block fp8 the rows are whole blocks, or the tensor's last. Raises ValueError for
        values that the format cannot hold.
        """
        form = published.stored_as(self.quantization)
        if form is None:
            yield published.name, tensor.to("cpu", DTYPES[self.specs(published)[0].dtype])
        elif isinstance(form, Int4):
            packed, scale = quantize_int4(tensor, form.group)
            yield published.name + PACKED_SUFFIX, packed.cpu()
            yield published.name + INT4_SCALE_SUFFIX, scale.cpu()
            yield published.name + SHAPE_SUFFIX, torch.tensor(published.shape, dtype=torch.int32)
        else:
            weight, scale_inv = quantize(tensor, form)
            yield published.name, weight.cpu()
            yield published.name + SCALE_SUFFIX, scale_inv.cpu()

    def decode(self, published: PublishedTensor, parts: dict[str, Tensor]) -> Tensor:
        """The rows [rows, in] that a reader of `encode`'s parts gets: float32, plain as stored."""
        form = published.stored_as(self.quantization)
        if form is None:
            return parts[published.name]
        if isinstance(form, Int4):
            packed, scale = (parts[published.name + s] for s in (PACKED_SUFFIX, INT4_SCALE_SUFFIX))
            return dequantize_int4(packed, scale, torch.float32)
        scale_inv = parts[published.name + SCALE_SUFFIX]
        return dequantize(parts[published.name], scale_inv, form, torch.float32)

    def first_row(self, published: PublishedTensor, part: str, first: int) -> int:
        """Where the rows of `part` that belong to the tensor's rows from `first` on begin."""
        form = published.stored_as(self.quantization)
        if part == published.name + SHAPE_SUFFIX and isinstance(form, Int4):
            return 0
        if part == published.name + SCALE_SUFFIX and isinstance(form, tuple):
            return first // form[0]
        return first


def plan_shards(
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


def shard_name(number: int, count: int) -> str:
    """The file name of shard `number`, from 1, of `count`."""
    return f"model-{number:05}-of-{count:05}.safetensors"


def config_text(config: ModelConfig, form: Format) -> str:
    """The config.json of a network stored in `form`."""
    data = replace(config, quantization=form.quantization).to_dict()
    if config.has_router_bias:  # V2's router has a name of its own, which `to_dict` writes
        data["model_type"] = form.model_type
    data["torch_dtype"] = str(form.dtype).removeprefix("torch.")
    # Names Python files of the original repository, which a checkpoint of ours does not hold.
    data.pop("auto_map", None)
    data.pop("dtype", None)
    return json.dumps(data, indent=2) + "\n"
