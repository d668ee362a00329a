"""Which ranks hold the same copy of a parameter."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch.distributed as dist
from torch import Tensor

from openk2.optim.names import plain_name


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


def copies_of(
    named: Iterable[tuple[str, Tensor]],
    copies: dist.ProcessGroup | Mapping[str, dist.ProcessGroup] | None,
) -> dict[Tensor, dist.ProcessGroup]:
    """The ranks that hold each parameter, of any shape, of those that have an entry."""
    if isinstance(copies, dist.ProcessGroup):
        return {parameter: copies for _, parameter in named}
    groups = {plain_name(name): group for name, group in (copies or {}).items()}
    return {p: groups[n] for name, p in named if (n := plain_name(name)) in groups}
