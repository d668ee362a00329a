"""RMSNorm (arXiv 1910.07467)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.kernels import rms_norm
from openk2.model.activations import Activations


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last dimension, statistics in float32, dtype of x kept."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.packed = False
        self.activations = Activations()

    def pack(self) -> None:
        """Compute by the native kernel from now on: one call, but no gradient."""
        self.packed = True

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x [..., width] -> the same shape. out: where a packed one writes it; x itself will do."""
        if self.packed:
            return rms_norm(x.flatten(0, -2), self.weight, self.eps, out=out).view_as(x)
        return self.activations.compute("norms", self.normalise, x)

    def normalise(self, x: Tensor) -> Tensor:
        """`forward` by torch: x [..., dim] -> the same shape and dtype."""
        if x.dtype == self.weight.dtype and not torch.is_grad_enabled():
            # The same numbers: torch widens inside, in one kernel on a GPU.
            return F.rms_norm(x, x.shape[-1:], self.weight, self.eps).to(x.dtype)
        wide = x.float()
        return F.rms_norm(wide, wide.shape[-1:], self.weight.float(), self.eps).to(x.dtype)
