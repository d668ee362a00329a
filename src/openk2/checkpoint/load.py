"""Checkpoint folder -> model, one tensor at a time."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.names import published_tensors
from openk2.checkpoint.room import available_memory, resident_bytes
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint
from openk2.model import K2Model


def load_model(
    folder: Path | str | StoredCheckpoint,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
) -> K2Model:
    """Read a checkpoint (bf16, float32 or block fp8, which is dequantized) into a new model.

    folder: the checkpoint's, or one that `open_checkpoint` has checked.
    Parameters are in `dtype`, the router's bias in float32. The checkpoint is verified before
    anything is allocated; memory stays near the model plus its largest tensor. The model's
    config says quantization None: its weights are plain. Raises CheckpointError, also for a model
    that the device has no memory for.
    """
    checkpoint = folder if isinstance(folder, StoredCheckpoint) else open_checkpoint(Path(folder))
    check_room(checkpoint, dtype, device)
    with torch.device("meta"):
        model = K2Model(replace(checkpoint.config, quantization=None))
    buffers = {name for name, _ in model.named_buffers()}
    names = dict(model.named_parameters()).keys() | buffers  # a tied head has the embedding's only
    try:
        state = {
            name: torch.empty(
                tensor.shape, dtype=torch.float32 if name in buffers else dtype, device=device
            )
            for name, tensor in model.state_dict().items()
            if name in names
        }
    except RuntimeError as error:  # what torch raises when the allocator is refused memory
        size = sum(parameter.numel() for parameter in model.parameters()) * dtype.itemsize
        raise CheckpointError(
            f"{checkpoint.folder} takes {size:,} bytes in {dtype}, which {device} refuses: "
            "use a smaller model, a narrower dtype or a larger machine"
        ) from error
    read_rows(checkpoint, {name: (tensor, 0) for name, tensor in state.items()})
    model.load_state_dict(state, assign=True, strict=not checkpoint.config.tie_word_embeddings)
    model.tie()
    return model


def check_room(
    checkpoint: StoredCheckpoint, dtype: torch.dtype, device: torch.device | str
) -> None:
    """Raise CheckpointError if the network in `dtype` takes more than `device` has left."""
    needed, available = resident_bytes(checkpoint.config, dtype), available_memory(device)
    if available is not None and needed > available:
        stored = sum(tensor.spec.bytes for tensor in checkpoint.tensors.values())
        raise CheckpointError(
            f"{checkpoint.folder}: {stored:,} bytes on disk take {needed:,} in {dtype}, and "
            f"{device} has {available:,} left: use a smaller model, a narrower dtype or a larger "
            "machine"
        )


@torch.no_grad()
def read_rows(checkpoint: StoredCheckpoint, held: Mapping[str, tuple[Tensor, int]]) -> None:
    """Fill what a process holds of a network; what it does not hold is not read.

    held: by parameter or buffer, rows of it in one piece, [n, in] or a vector's [n], and the number
        of the first; of a stack of experts, [n, out, in], a row is an expert.
    Of a matrix whose rows are not all here the whole is read for a moment. Raises CheckpointError.
    """
    for published in published_tensors(checkpoint.config):
        if published.parameter not in held:
            continue
        rows, first = held[published.parameter]
        if published.expert is not None:
            if 0 <= published.expert - first < len(rows):
                checkpoint.read_into(published, rows[published.expert - first])
        elif len(rows) == published.shape[0]:
            checkpoint.read_into(published, rows)
        else:
            whole = rows.new_empty(published.shape)
            checkpoint.read_into(published, whole)
            rows.copy_(whole[first : first + len(rows)])
