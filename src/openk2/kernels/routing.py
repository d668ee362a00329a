"""`route`: from a router's logits to the chosen experts and their weights, in one call."""

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.native.shared_library import type_of


def route(
    logits: Tensor,
    bias: Tensor,
    count: int,
    *,
    normalise: bool,
    factor: float,
    isa: str | None = None,
) -> tuple[Tensor, Tensor]:
    """logits [M, E] and bias [E], float32 -> weights float32 [M, count], experts int64 [M, count].

    Chosen are the `count` highest of sigmoid(logit) + bias, highest first and of equal ones the
    lower number; a weight is the sigmoid alone, divided by the sum of the chosen ones if
    `normalise`, times `factor` (DeepSeek-V3, arXiv 2412.19437, section 2.1.2). Raises ValueError
    for shapes and counts that do not fit, TypeError for other dtypes.
    """
    if logits.dim() != 2 or bias.shape != logits.shape[1:] or not 0 < count <= logits.shape[1]:
        raise ValueError(
            f"logits are {list(logits.shape)}, bias {list(bias.shape)}, count {count}: [M, E], [E] "
            "and at most E are wanted"
        )
    if logits.dtype != torch.float32 or bias.dtype != torch.float32:
        raise TypeError(f"logits are {logits.dtype}, bias {bias.dtype}: float32 is wanted")
    library = native.library() if logits.is_cpu else None
    if library is None:
        return route_twin(logits, bias, count, normalise=normalise, factor=factor)
    type_of(logits, "logits")
    logits, bias = logits.contiguous(), bias.contiguous()
    rows, experts = logits.shape
    weights = torch.empty(rows, count)
    chosen = torch.empty(rows, count, dtype=torch.int64)
    library.route(
        library.kernels(isa),
        logits.data_ptr(),
        bias.data_ptr(),
        rows,
        experts,
        count,
        normalise,
        factor,
        weights.data_ptr(),
        chosen.data_ptr(),
    )
    return weights, chosen


def route_twin(
    logits: Tensor, bias: Tensor, count: int, *, normalise: bool, factor: float
) -> tuple[Tensor, Tensor]:
    """The same by torch; see `route` for shapes."""
    scores = logits.sigmoid()
    chosen = (scores + bias).sort(dim=-1, descending=True, stable=True).indices[:, :count]
    weights = scores.gather(-1, chosen)
    if normalise:
        weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
    return weights * factor, chosen
