"""A weight matrix in the order in which the native kernels read it.

Panels of 32 output columns; in a panel, step by step along k, 4 bytes a column: one float32 value,
or two bfloat16 values k and k + 1. Columns and k are filled up with zeros.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from openk2.kernels.native.shared_library import Library, type_of

PANEL = 32
HALF = PANEL // 2


def pack_panels(library: Library, weight: Tensor, beside: Tensor | None = None) -> Tensor:
    """weight [B, N, K] float32 or bfloat16 -> [B, panels, steps, 32] in 4-byte units.

    beside: a weight of the same shape and dtype; a panel then holds 16 columns of the first and
        the same 16 of this one, so that one product gives both.
    The result is float32 where the weight is, int32 (a pair of bfloat16 each) otherwise; steps is
    K or ceil(K / 2). Raises TypeError for other dtypes and devices.
    """
    kind = type_of(weight, "weight")
    weight = weight.contiguous()
    count, columns, k = weight.shape
    pairs = weight.dtype == torch.bfloat16
    out = torch.empty(
        count,
        -(-columns // (PANEL if beside is None else HALF)),
        (k + 1) // 2 if pairs else k,
        PANEL,
        dtype=torch.int32 if pairs else torch.float32,
    )
    other = None if beside is None else beside.contiguous()
    library.pack(
        weight.data_ptr(),
        None if other is None else other.data_ptr(),
        columns * k,
        k,
        count,
        columns,
        k,
        kind,
        out.data_ptr(),
    )
    return out


def panels_twin(weight: Tensor) -> Tensor:
    """`pack_panels` of one weight, by torch; see there for shapes."""
    columns, k = weight.shape[-2:]
    if weight.dtype == torch.bfloat16:
        weight = pad(weight, (0, k % 2)).contiguous().view(torch.int32)
    filled = pad(weight, (0, 0, 0, -columns % PANEL))
    panels: Tensor = filled.unflatten(-2, (-1, PANEL)).transpose(-1, -2).contiguous()
    return panels


def paired_twin(weight: Tensor, beside: Tensor) -> Tensor:
    """`pack_panels` of two weights, by torch; see there for shapes."""
    filled = pad(torch.stack((weight, beside), dim=1), (0, 0, 0, -weight.shape[1] % HALF))
    return panels_twin(filled.unflatten(2, (-1, HALF)).transpose(1, 2).flatten(1, 3))
