"""A linear layer whose weight can be packed for serving."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.kernels import PackedLinear


class Linear(nn.Linear):
    """y = x W^T without bias. `pack` replaces the weight by a form for inference only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.packed: PackedLinear | None = None

    def pack(self) -> None:
        """Pack the weight, and drop it."""
        self.packed = PackedLinear.pack(self.weight)
        self.weight = forgotten(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] -> [..., outputs]."""
        return F.linear(x, self.weight) if self.packed is None else self.packed(x)


def forgotten(parameter: Tensor) -> nn.Parameter:
    """A parameter of the same shape and dtype that takes no memory and holds no values."""
    return nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
