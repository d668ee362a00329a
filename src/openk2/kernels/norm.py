"""`rms_norm` (arXiv 1910.07467): the same bits for a row in any batch, in one call."""

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.linear import keep
from openk2.kernels.native.shared_library import refuse_empty, type_of


def rms_norm(
    x: Tensor,
    weight: Tensor,
    eps: float,
    *,
    out_dtype: torch.dtype | None = None,
    out: Tensor | None = None,
    isa: str | None = None,
) -> Tensor:
    """x [M, N] / rms(x) * weight [N], statistics in float32 -> [M, N] in out_dtype (x's) or out.

    x and weight are float32 or bfloat16. x and out may be parts of wider rows, and the same ones.
    Raises ValueError for shapes that do not fit, TypeError for other dtypes.
    """
    refuse_empty("weight", weight)
    if x.dim() != 2 or weight.shape != x.shape[1:]:
        raise ValueError(f"x is {list(x.shape)}, weight {list(weight.shape)}: [M, N] and [N]")
    if out is not None and (out.shape != x.shape or out.stride(1) != 1):
        raise ValueError(f"out is {list(out.shape)}: x gives {list(x.shape)}")
    library = native.library() if x.is_cpu else None
    if library is None:
        return keep(rms_norm_twin(x, weight, eps, out_dtype), out)
    x = x if x.stride(1) == 1 else x.contiguous()
    weight = weight.contiguous()
    y = torch.empty(x.shape, dtype=out_dtype or x.dtype) if out is None else out
    library.rms_norm(
        library.kernels(isa),
        x.data_ptr(),
        x.stride(0),
        type_of(x, "x"),
        weight.data_ptr(),
        type_of(weight, "weight"),
        y.data_ptr(),
        y.stride(0),
        type_of(y, "out"),
        x.shape[0],
        x.shape[1],
        eps,
    )
    return y


def rms_norm_twin(
    x: Tensor, weight: Tensor, eps: float, out_dtype: torch.dtype | None = None
) -> Tensor:
    """The same by torch; see `rms_norm` for shapes."""
    normed = F.rms_norm(x.float(), weight.shape, weight.float(), eps)
    return normed.to(out_dtype or x.dtype)
