"""A linear layer whose weight can be packed for serving."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.kernels import PackedLinear, Weight


class WeightReader(Protocol):
    """Where `pack` takes weights from: a module's own parameters, or a checkpoint."""

    def __call__(self, name: str, expert: int | None = None) -> Weight:
        """The weight [N, K] of a module's parameter of this name; of a stack, one expert's."""
        ...


def own_weights(module: nn.Module) -> WeightReader:
    """The reader of what a module holds."""

    def read(name: str, expert: int | None = None) -> Weight:
        parameter = module.get_parameter(name)
        return parameter if expert is None else parameter[expert]

    return read


class Linear(nn.Linear):
    """y = x W^T without bias. `pack` replaces the weight by a form for inference only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)
        self.packed: PackedLinear | None = None

    def pack(self, read: WeightReader | None = None) -> None:
        """Pack the weight that `read` gives, the layer's own by default, which is dropped."""
        self.packed = PackedLinear.pack((read or own_weights(self))("weight"))
        self.weight = forgotten(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., inputs] -> [..., outputs]."""
        return F.linear(x, self.weight) if self.packed is None else self.packed(x)


def forgotten(parameter: Tensor) -> nn.Parameter:
    """A parameter of the same shape and dtype that takes no memory and holds no values."""
    # Not empty_like, which imports sympy for a tensor that is on meta already.
    empty = torch.empty(parameter.shape, dtype=parameter.dtype, device="meta")
    return nn.Parameter(empty, requires_grad=False)
