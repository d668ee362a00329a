"""Checkpoint folder -> model packed for serving, each tensor straight from its file to its panels.

Weights stay as they are stored, in block-fp8 or int4, or are dequantized one by one. Memory grows
to the packed model and, for a moment, its largest tensor (of experts, one expert's matrices).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from openk2.architecture import Int4, ModelConfig
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.load import read_rows
from openk2.checkpoint.names import PublishedTensor, published_tensors
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint
from openk2.kernels import Fp8Weight, Int4Weight, Weight, reads_blocks
from openk2.model import K2Model, RoutedExperts


def stored_refusal(config: ModelConfig, scale_dtypes: Collection[str] = ()) -> str | None:
    """Why the kernels cannot hold these weights as they are stored; None if they can.

    scale_dtypes: see `StoredCheckpoint`; none before its headers are read.
    """
    form = config.quantization
    if form is None:
        return "they are not quantized"
    kind, block = (Int4Weight, (1, form.group)) if isinstance(form, Int4) else (Fp8Weight, form)
    if not reads_blocks(kind, block):
        return f"blocks of {block[0]} x {block[1]} are not what the kernels read"
    if other := sorted(set(scale_dtypes) - {"BF16"}):
        return f"int4's scales are {' and '.join(other)}, the kernels read BF16"
    return None


def load_packed(
    folder: Path | str | StoredCheckpoint,
    *,
    dtype: torch.dtype = torch.bfloat16,
    stored: bool = True,
    routed: RoutedExperts | None = None,
) -> K2Model:
    """Read a checkpoint into a new model that is packed for serving on the CPU.

    folder: the checkpoint's, or one that `open_checkpoint` has checked.
    dtype: of what is not quantized, and in which the model computes. stored: quantized weights stay
    as they are; otherwise they are dequantized to dtype. The result is that of `load_model` and
    `pack`. routed: makes what computes a layer's routed experts, whose weights are then not read.
    Raises CheckpointError, also if `stored_refusal` has something to say.
    """
    checkpoint = folder if isinstance(folder, StoredCheckpoint) else open_checkpoint(Path(folder))
    if stored and (reason := stored_refusal(checkpoint.config, checkpoint.scale_dtypes)):
        raise CheckpointError(
            f"{checkpoint.folder}: its weights cannot stay as stored: {reason}: give stored=False"
        )
    with torch.device("meta"):
        model = K2Model(replace(checkpoint.config, quantization=None)).to(dtype)
    reader = TensorReader(checkpoint, dtype, stored)
    if routed is not None:
        reader.read |= model.stream(routed)
    try:
        model.pack(reader)
    except (TypeError, ValueError) as error:  # the kernels do not know names
        raise CheckpointError(f"{checkpoint.folder}: {reader.last}: {error}") from error
    buffers = {name for name, _ in model.named_buffers()}
    rest = {
        name: torch.empty(tensor.shape, dtype=torch.float32 if name in buffers else dtype)
        for name, tensor in model.state_dict().items()
        if name not in reader.read
    }
    read_rows(checkpoint, {name: (tensor, 0) for name, tensor in rest.items()})
    model.load_state_dict(rest, strict=False, assign=True)
    return model


@dataclass
class TensorReader:
    """A `WeightReader` over a checkpoint. read: the parameters asked for; last: a tensor's name."""

    checkpoint: StoredCheckpoint
    dtype: torch.dtype
    stored: bool
    read: set[str] = field(default_factory=set)
    last: str = ""

    def __post_init__(self) -> None:
        self._published = {
            (published.parameter, published.expert): published
            for published in published_tensors(self.checkpoint.config)
        }
        if self.checkpoint.config.tie_word_embeddings:
            embedding = self._published["model.embed_tokens.weight", None]
            self._published["lm_head.weight", None] = embedding

    def __call__(self, name: str, expert: int | None = None) -> Weight:
        """The weight [N, K] of a parameter, as stored or in dtype."""
        published = self._published[name, expert]
        self.read.add(name)
        self.last = published.name
        return weight_of(self.checkpoint, published, self.dtype, self.stored)


def weight_of(
    checkpoint: StoredCheckpoint, published: PublishedTensor, dtype: torch.dtype, stored: bool
) -> Weight:
    """A published matrix as it is stored, if `stored` and the kernels read that, or in dtype."""
    if stored and published.stays_stored(checkpoint.config.quantization):
        return checkpoint.weight(published)
    if checkpoint.form_of(published) is None:
        return checkpoint.tensor(published).to(dtype)
    weight: Tensor = torch.empty(published.shape, dtype=dtype)
    checkpoint.read_into(published, weight)
    return weight
