"""`AddedError`: how far a conversion moves weights, by kind of tensor."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from openk2.checkpoint.names import PublishedTensor
from openk2.kernels import squared_error

# By what a published name has in it; the first that fits.
KINDS = {
    ".mlp.experts.": "routed experts",
    ".mlp.shared_experts.": "shared experts",
    ".mlp.gate.": "routers",
    "norm": "norms",
    ".mlp.": "dense layers",
    ".self_attn.": "attention",
    "": "embedding and head",
}


@dataclass
class AddedError:
    """Squares of differences and of the exact values, by kind; parts of tensors add up."""

    sums: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, published: PublishedTensor, exact: Tensor, stored: Tensor) -> None:
        """Count rows of a tensor, any shape and dtype, before and after the conversion."""
        self.add_sums(kind_of(published), squared_error(exact, stored))

    def add_sums(self, kind: str, sums: tuple[float, float]) -> None:
        """Count what was summed elsewhere."""
        before = self.sums.get(kind, (0.0, 0.0))
        self.sums[kind] = before[0] + sums[0], before[1] + sums[1]

    def relative(self) -> Mapping[str, float]:
        """Norm of the differences over norm of the values, by kind; 0 where all is kept exactly."""
        return {
            kind: (off / all_) ** 0.5 if all_ else 0.0 for kind, (off, all_) in self.sums.items()
        }


def kind_of(published: PublishedTensor) -> str:
    """What a person calls this kind of tensor."""
    return next(kind for part, kind in KINDS.items() if part in published.name)
