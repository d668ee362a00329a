"""Parameter names without what wrappers add to them, so that patterns and saved states match."""

import re
from collections.abc import Iterable
from typing import Any

from torch import Tensor

# torch.compile, FSDP1 and activation checkpointing add a component wherever a module is wrapped.
INNER = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)")
# DataParallel and DistributedDataParallel wrap the whole network.
OUTER = re.compile(r"^(module\.)+")


def plain_name(name: str) -> str:
    """`name` without `module.` in front and without `_orig_mod.` and its like anywhere."""
    return OUTER.sub("", INNER.sub("", name).removeprefix("."))


def plain_names(named_parameters: Iterable[tuple[str, Tensor]]) -> dict[Tensor, list[str]]:
    """Each tensor once, with all its names, see `plain_name`; in order.

    Raises ValueError if two tensors have one name.
    """
    names: dict[Tensor, list[str]] = {}
    owners: dict[str, Tensor] = {}
    for wrapped, parameter in named_parameters:
        name = plain_name(wrapped)
        if owners.setdefault(name, parameter) is not parameter:
            raise ValueError(f"two parameters are named {name}: give each its own name")
        own = names.setdefault(parameter, [])
        if name not in own:
            own.append(name)
    return names


def with_names(parameters: Iterable[Any], more: str) -> list[tuple[str, Tensor]]:
    """The parameters as pairs of a name and a tensor of any shape. Raises TypeError, with `more`,
    if they are not."""
    named = list(parameters)
    for each in named:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[0], str)):
            raise TypeError(
                f"parameters need names, and one is a {type(each).__name__}: pass pairs of name "
                f"and parameter, as model.named_parameters() gives them; {more}"
            )
    return named
