"""Which ranks hold the same copy of a parameter."""

import copy
from typing import Any

import torch.distributed as dist
from torch import Tensor


class Copies(dict[Tensor, dist.ProcessGroup]):
    """For a parameter that several ranks hold, their process group.

    A process group lives in its process: a deep copy shares it, and saving raises TypeError.
    """

    def __deepcopy__(self, memo: dict[int, Any]) -> "Copies":
        return Copies({copy.deepcopy(tensor, memo): group for tensor, group in self.items()})

    def __reduce__(self) -> "tuple[type[Copies], tuple[()]]":
        if self:
            raise TypeError(
                "an optimizer with `copies` holds process groups, which cannot be saved: save its "
                "state_dict()"
            )
        return Copies, ()
