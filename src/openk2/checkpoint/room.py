"""Whether a model fits the memory of its device, found out before a byte of it is read.

Linux grants a CPU more memory than there is and kills the process that uses it, so an allocation
that succeeds proves nothing.
"""

import math

import torch

from openk2.architecture import ModelConfig, count_parameters
from openk2.checkpoint.names import (
    PLAIN_DTYPES,
    SHAPE_SUFFIX,
    PublishedTensor,
    published_tensors,
)
from openk2.record import available_host_memory


def available_memory(device: torch.device | str) -> int | None:
    """Bytes that can still be allocated on `device`; None if the system does not say."""
    device = torch.device(device)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch's allocator holds for later use counts as taken in the driver's figure.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return available_host_memory()


def resident_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes of a whole network in memory, as `load_model` makes it: routers' biases are float32."""
    moe = sum(config.is_moe(layer) for layer in range(config.num_hidden_layers))
    biases = moe * config.n_routed_experts if config.has_router_bias else 0
    return (count_parameters(config).total - biases) * dtype.itemsize + 4 * biases


def stored_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes of a whole network whose weights stay as they are stored, the others in `dtype`, as
    `load_packed` makes it."""
    return sum(held_bytes(config, published, dtype) for published in published_tensors(config))


def held_bytes(
    config: ModelConfig, published: PublishedTensor, dtype: torch.dtype, stored: bool = True
) -> int:
    """Bytes of one tensor in memory: as it is stored, if `stored` and possible, or in dtype."""
    if stored and published.stays_stored(config.quantization):
        specs = published.specs(config.quantization, PLAIN_DTYPES[0])
        return sum(spec.bytes for spec in specs if not spec.name.endswith(SHAPE_SUFFIX))
    return math.prod(published.shape) * (4 if published.is_router_bias else dtype.itemsize)
