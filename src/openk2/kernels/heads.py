"""`PackedHeads`: a product a head, as latent attention folds its up-projections into the query."""

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.linear import keep
from openk2.kernels.native.shared_library import LINEAR, refuse_empty, type_of
from openk2.kernels.panels import empty_panels, layout_of, pack_into


class PackedHeads:
    """Weights [H, N, K]: y[t, h] = weight[h] x[t, h]. See `PackedLinear` for sums and dtypes."""

    def __init__(self, weight: Tensor, isa: str | None = None) -> None:
        """See `pack`."""
        refuse_empty("weight", weight)
        self.heads, self.columns, self.k = weight.shape
        self._library = native.library() if weight.is_cpu else None
        if self._library is None:
            self._weight = weight.detach()
            return
        weight = weight.detach()
        layout = layout_of(weight)
        self._panels = empty_panels(layout, self.heads, self.columns, self.k, beside=False)
        for head, panels in zip(weight, self._panels, strict=True):
            pack_into(self._library, head, panels)
        self.record = LINEAR.pack(
            self._library.kernels(isa),
            self._panels.data_ptr(),
            self.heads,
            self.columns,
            self.k,
            layout.type,
            layout.group,
        )

    @classmethod
    def pack(cls, weight: Tensor, isa: str | None = None) -> "PackedHeads":
        """Pack weight [H, N, K], float32 or bfloat16. Errors: see `PackedLinear.pack`."""
        return cls(weight, isa)

    def __call__(
        self, x: Tensor, out_dtype: torch.dtype | None = None, out: Tensor | None = None
    ) -> Tensor:
        """x [T, H, K] float32 or bfloat16 -> [T, H, N] in out_dtype (default: x's).

        x and out may be parts of wider tensors, such as the positionless part of queries; only the
        last dimension must be dense. out: a tensor [T, H, N] to fill and return.
        """
        if x.dim() != 3 or x.shape[1:] != (self.heads, self.k):
            raise ValueError(f"x is {list(x.shape)}: this weight takes [T, {self.heads}, {self.k}]")
        shape = (x.shape[0], self.heads, self.columns)
        if out is not None and (out.shape != shape or out.stride(2) != 1):
            raise ValueError(f"out is {list(out.shape)}: x gives {list(shape)}, dense in the last")
        if self._library is None:
            return keep(heads_twin(x, self._weight, out_dtype), out)
        if x.stride(2) != 1:
            x = x.contiguous()
        y = torch.empty(shape, dtype=out_dtype or x.dtype) if out is None else out
        self._library.linear(
            self.record,
            x.data_ptr(),
            x.stride(0),
            x.stride(1),
            type_of(x, "x"),
            y.data_ptr(),
            y.stride(0),
            y.stride(1),
            type_of(y, "out"),
            shape[0],
        )
        return y


def heads_twin(x: Tensor, weight: Tensor, out_dtype: torch.dtype | None = None) -> Tensor:
    """x [T, H, K] and weight [H, N, K] -> [T, H, N] in out_dtype (default: x's), by torch."""
    out_dtype = out_dtype or x.dtype
    dtype = torch.promote_types(torch.promote_types(x.dtype, weight.dtype), out_dtype)
    result = torch.bmm(x.to(dtype).transpose(0, 1), weight.to(dtype).transpose(1, 2))
    return result.transpose(0, 1).to(out_dtype)
