"""Block FP8: a weight matrix in float8 e4m3 with one float32 multiplier a block.

The layout of the published K2 and DeepSeek-V3 weights (DeepSeek-V3 report, section 3.3):
`weight` [out, in] and `weight_scale_inv` [ceil(out / rows), ceil(in / columns)], where
weight * scale_inv gives the value back (a multiplier, despite its name). Blocks at the lower and
right edges are cut where the matrix ends. Both directions go strip by strip (one row of blocks),
so that the float32 intermediate stays in the processor's cache.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from openk2.kernels import native
from openk2.kernels.native.shared_library import TYPES, refuse_empty

FP8_BLOCK = (128, 128)
E4M3_MAX = torch.finfo(torch.float8_e4m3fn).max
SMALLEST_SCALE = torch.finfo(torch.float32).tiny


def quantize(weight: Tensor, block: tuple[int, int] = FP8_BLOCK) -> tuple[Tensor, Tensor]:
    """Quantize `weight` [out, in] (any float dtype) to e4m3 [out, in] and multipliers float32.

    A block's largest magnitude becomes 448, e4m3's largest; a block of zeros stays zeros. The
    error of a value x is at most max(|x| / 16, multiplier / 1024). Raises ValueError if a value
    is not finite.
    """
    rows, columns = block
    height, width = weight.shape
    quantized = torch.empty(height, width, dtype=torch.float8_e4m3fn, device=weight.device)
    scale_inv = torch.empty(-(-height // rows), -(-width // columns), device=weight.device)
    if not quantize_natively(weight, block, quantized, scale_inv):
        quantize_plainly(weight, block, quantized, scale_inv)
    if not torch.isfinite(scale_inv).all():
        raise ValueError(
            "the weight holds inf or nan, which block fp8 cannot store: repair it first"
        )
    return quantized, scale_inv


def quantize_plainly(
    weight: Tensor, block: tuple[int, int], quantized: Tensor, scale_inv: Tensor
) -> None:
    """The plain twin of the native kernel: fill both, of the shapes that `quantize` returns."""
    (rows, columns), width = block, weight.shape[1]
    for index, strip in enumerate(torch.split(weight, rows)):
        values = strip.float()
        blocks = pad(values, (0, -width % columns)).view(len(strip), -1, columns)
        scale_inv[index] = (blocks.abs().amax((0, 2)) / E4M3_MAX).clamp(min=SMALLEST_SCALE)
        quantized[index * rows :][:rows] = values / _per_column(scale_inv[index], columns, width)


def quantize_natively(
    weight: Tensor, block: tuple[int, int], quantized: Tensor, scale_inv: Tensor
) -> bool:
    """`quantize_plainly` by the native kernel, with the same bits; see `quantize` for shapes.

    Returns False, both unchanged, where the kernel does not serve: no library, GPU, other dtypes.
    """
    library = native.library() if weight.is_cpu and weight.dtype in TYPES else None
    if library is None or 0 in weight.shape:
        return False
    dense = weight.detach().contiguous()
    library.quantize_fp8(
        dense.data_ptr(),
        TYPES[dense.dtype],
        quantized.data_ptr(),
        scale_inv.data_ptr(),
        *dense.shape,
        *block,
        SMALLEST_SCALE,
    )
    return True


def dequantize(
    weight: Tensor,
    scale_inv: Tensor,
    block: tuple[int, int] = FP8_BLOCK,
    dtype: torch.dtype = torch.bfloat16,
    out: Tensor | None = None,
) -> Tensor:
    """Return weight [out, in] (e4m3) * its block's multiplier, rounded once, from float32 to dtype.

    `out` [out, in], if given, is filled and returned; its dtype then counts, not `dtype`. Raises
    ValueError if scale_inv does not have one value a block.
    """
    rows, columns = block
    height, width = weight.shape
    if min(rows, columns) < 1:
        raise ValueError(f"blocks are {rows} x {columns}: both must be at least 1")
    refuse_empty("weight", weight)
    wanted = (-(-height // rows), -(-width // columns))
    if scale_inv.shape != wanted:
        raise ValueError(
            f"weight_scale_inv is {list(scale_inv.shape)}; a weight of {height} x {width} in "
            f"blocks of {rows} x {columns} needs {list(wanted)}"
        )
    if out is None:
        out = torch.empty(height, width, dtype=dtype, device=weight.device)
    if dequantize_natively(weight, scale_inv, block, out):
        return out
    for index, strip in enumerate(torch.split(weight, rows)):
        scales = _per_column(scale_inv[index], columns, width)
        out[index * rows :][:rows] = strip.float() * scales
    return out


def dequantize_natively(
    weight: Tensor,
    scale_inv: Tensor,
    block: tuple[int, int],
    out: Tensor,
    isa: str | None = None,
) -> bool:
    """Fill `out` [out, in] by the native kernel, with the same bits as `dequantize`, see there.

    Returns False, `out` unchanged, where the kernel does not serve: no library, GPU, other dtypes.
    """
    library = native.library() if weight.is_cpu and out.dtype in TYPES else None
    dense = weight.stride(1) == out.stride(1) == scale_inv.stride(1) == 1
    kinds = weight.dtype == torch.float8_e4m3fn and scale_inv.dtype == torch.float32
    if library is None or not (dense and kinds and scale_inv.is_cpu and out.is_cpu):
        return False
    library.dequantize(
        library.kernels(isa),
        weight.data_ptr(),
        weight.stride(0),
        scale_inv.data_ptr(),
        scale_inv.stride(0),
        out.data_ptr(),
        out.stride(0),
        TYPES[out.dtype],
        *weight.shape,
        *block,
    )
    return True


def _per_column(scales: Tensor, columns: int, width: int) -> Tensor:
    """One multiplier a block [blocks] -> one a column [width]."""
    return scales.repeat_interleave(columns)[:width]
