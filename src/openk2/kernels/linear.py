"""`PackedLinear`: y = x W^T, the same bits for a row whatever shares its batch."""

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.native.shared_library import LINEAR, refuse_empty, type_of
from openk2.kernels.panels import empty_panels, layout_of, pack_into
from openk2.kernels.quantized import Weight, on_cpu, plain


class PackedLinear:
    """A weight [N, K], made ready once for many products.

    Sums are float32, along k in order. A bfloat16 weight meets bfloat16 rows in bfloat16 products
    and float32 rows in float32 ones: rows are never rounded. A quantized weight stays as it is and
    is dequantized during the product (see `quantized`). Without the native library, and on other
    devices, it is `linear_twin`, which promises no bits.
    """

    def __init__(self, weight: Weight, isa: str | None = None) -> None:
        """See `pack`."""
        refuse_empty("weight", weight)
        self.columns, self.k = weight.shape
        self._library = native.library() if on_cpu(weight) else None
        if self._library is None:
            self._weight = weight
            return
        layout = layout_of(weight)
        self._panels = empty_panels(layout, 1, self.columns, self.k, beside=False)
        pack_into(self._library, weight, self._panels[0])
        self.record = LINEAR.pack(
            self._library.kernels(isa),
            self._panels.data_ptr(),
            1,
            self.columns,
            self.k,
            layout.type,
            layout.group,
        )

    @classmethod
    def pack(cls, weight: Weight, isa: str | None = None) -> "PackedLinear":
        """Pack weight [N, K], float32, bfloat16 or quantized; it is not needed afterwards.

        isa: an instruction set by name (default: the best here). Raises ValueError for a
        weight without rows or columns, or a quantized one with NaN or with blocks that the kernels
        do not read, TypeError for another dtype, NativeError for an instruction set that does not
        run here.
        """
        return cls(weight, isa)

    def __call__(
        self, x: Tensor, out_dtype: torch.dtype | None = None, out: Tensor | None = None
    ) -> Tensor:
        """x [..., K] float32 or bfloat16 -> [..., N] in out_dtype (default: x's).

        out: a tensor [M, N] to fill and return, for x [M, K]; a row of it may be part of a wider
        one. Raises ValueError for other shapes, TypeError for other dtypes or devices.
        """
        if x.shape[-1] != self.k:
            raise ValueError(f"x is {list(x.shape)}: this weight takes [..., {self.k}]")
        if self._library is None:
            return keep(linear_twin(x, plain(self._weight, torch.float32), out_dtype), out)
        rows = x if x.dim() == 2 else x.reshape(-1, self.k)
        if rows.stride(1) != 1:
            rows = rows.contiguous()
        count = rows.shape[0]
        if out is None:
            y = torch.empty(count, self.columns, dtype=out_dtype or x.dtype)
        elif out.shape != (count, self.columns) or out.stride(1) != 1 or x.dim() != 2:
            raise ValueError(f"out is {list(out.shape)}: x gives [{count}, {self.columns}]")
        else:
            y = out
        self._library.linear(
            self.record,
            rows.data_ptr(),
            rows.stride(0),
            0,
            type_of(x, "x"),
            y.data_ptr(),
            y.stride(0),
            0,
            type_of(y, "out"),
            count,
        )
        return y if x.dim() == 2 else y.view(*x.shape[:-1], self.columns)


def linear_twin(x: Tensor, weight: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
    """x [..., K] and weight [N, K] -> [..., N] in out_dtype (default: x's), by torch.

    Computed in the widest of the three dtypes.
    """
    out_dtype = out_dtype or x.dtype
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), out_dtype)
    return F.linear(x.to(dtype), weight.to(dtype)).to(out_dtype)


def keep(result: Tensor, out: Tensor | None) -> Tensor:
    """The result, of any shape; in `out`, of the same shape, if that is given."""
    return result if out is None else out.copy_(result)
