"""`PackedSwiGLU`: a dense or shared expert, the same bits for a row in any batch."""

import torch
from torch import Tensor

from openk2.kernels.experts import PackedExperts
from openk2.kernels.quantized import Weight


class PackedSwiGLU:
    """down(silu(gate x) * up x): `PackedExperts` of one expert that every row meets."""

    def __init__(self, gate: Weight, up: Weight, down: Weight, isa: str | None = None) -> None:
        """See `pack`."""
        self._experts = PackedExperts.gather(1, lambda _: (gate, up, down), isa)

    @classmethod
    def pack(cls, gate: Weight, up: Weight, down: Weight, isa: str | None = None) -> "PackedSwiGLU":
        """Pack gate and up [inner, hidden] and down [hidden, inner], all in one form."""
        return cls(gate, up, down, isa)

    def __call__(
        self, x: Tensor, out_dtype: torch.dtype | None = None, out: Tensor | None = None
    ) -> Tensor:
        """x [M, hidden] float32 or bfloat16 -> [M, hidden] in out_dtype (default: x's) or `out`."""
        return self._experts.first_alone(x, out_dtype, out)

    @property
    def hidden(self) -> int:
        """The width of x."""
        return self._experts.hidden

    @property
    def record(self) -> bytes:
        """What the native calls know of it."""
        return self._experts.record
