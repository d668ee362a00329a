"""`rotate`: rotary positions on interleaved pairs, in one call."""

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.linear import keep
from openk2.kernels.native.shared_library import refuse_empty, type_of


def rotate(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    *,
    out_dtype: torch.dtype | None = None,
    out: Tensor | None = None,
    isa: str | None = None,
) -> Tensor:
    """Turn each pair (2i, 2i + 1) of x [T, H, 2n] by its angle: cos and sin float32 [T, n].

    The result [T, H, 2n], in out_dtype (default: x's) or in `out`, has the bits of
    `rotation_twin`. x and out may be parts of wider rows, and the same ones. Raises ValueError for
    shapes that do not fit, TypeError for other dtypes.
    """
    refuse_empty("x", x, 1)
    if x.dim() != 3 or cos.shape != (x.shape[0], x.shape[2] / 2) or sin.shape != cos.shape:
        raise ValueError(
            f"x is {list(x.shape)}, cos {list(cos.shape)}, sin {list(sin.shape)}: [T, H, 2n], "
            "[T, n] and [T, n] are wanted"
        )
    if cos.dtype != torch.float32 or sin.dtype != torch.float32:
        raise TypeError(f"cos is {cos.dtype}, sin {sin.dtype}: float32 is wanted")
    if out is not None and (out.shape != x.shape or out.stride(2) != 1):
        raise ValueError(f"out is {list(out.shape)}: x gives {list(x.shape)}")
    library = native.library() if x.is_cpu else None
    if library is None:
        return keep(rotation_twin(x, cos, sin, out_dtype), out)
    x = x if x.stride(2) == 1 else x.contiguous()
    cos, sin = cos.contiguous(), sin.contiguous()
    y = torch.empty(x.shape, dtype=out_dtype or x.dtype) if out is None else out
    library.rotate(
        library.kernels(isa),
        x.data_ptr(),
        x.stride(0),
        x.stride(1),
        type_of(x, "x"),
        cos.data_ptr(),
        sin.data_ptr(),
        y.data_ptr(),
        y.stride(0),
        y.stride(1),
        type_of(y, "out"),
        x.shape[0],
        x.shape[1],
        x.shape[2] // 2,
    )
    return y


def rotation_twin(
    x: Tensor, cos: Tensor, sin: Tensor, out_dtype: torch.dtype | None = None
) -> Tensor:
    """The same by torch: two products and a sum, each rounded to float32.

    See `rotate` for shapes.
    """
    cos, sin = cos[:, None], sin[:, None]
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(out_dtype or x.dtype)
