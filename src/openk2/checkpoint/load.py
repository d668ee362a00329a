"""Checkpoint folder -> model, one tensor at a time."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.names import published_tensors
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint
from openk2.model import K2Model


def load_model(
    folder: Path | str,
    *,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
) -> K2Model:
    """Read a checkpoint (bf16, float32 or block fp8, which is dequantized) into a new model.

    Parameters are in `dtype`, the router's bias in float32. The checkpoint is verified before
    anything is allocated; memory stays near the model plus its largest tensor. The model's
    config says quantization None: its weights are plain. Raises CheckpointError.
    """
    return read_model(open_checkpoint(Path(folder)), dtype=dtype, device=device)


def read_model(
    checkpoint: StoredCheckpoint,
    *,
    dtype: torch.dtype,
    device: torch.device | str,
    keep: Callable[[K2Model], K2Model] = lambda model: model,
) -> K2Model:
    """`load_model` of a checkpoint that is already open.

    keep: given the network on meta, drops modules; the others alone are allocated and read.
    """
    with torch.device("meta"):
        model = keep(K2Model(replace(checkpoint.config, quantization=None)))
    buffers = {name for name, _ in model.named_buffers()}
    try:
        state = {
            name: torch.empty(
                tensor.shape, dtype=torch.float32 if name in buffers else dtype, device=device
            )
            for name, tensor in model.state_dict().items()
        }
    except RuntimeError as error:  # what torch raises when the allocator is refused memory
        size = sum(parameter.numel() for parameter in model.parameters()) * dtype.itemsize
        raise CheckpointError(
            f"{checkpoint.folder} takes {size:,} bytes in {dtype}, which {device} refuses: "
            "use a smaller model, a narrower dtype or a larger machine"
        ) from error
    for published in published_tensors(checkpoint.config):
        if published.parameter in state:
            checkpoint.read_into(published, published.of(state))
    model.load_state_dict(state, assign=True)
    return model
