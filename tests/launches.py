"""What a step dispatches: operations that launch kernels, those that wait, and the memory alive."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that run no kernel although their results are no views of their inputs.
WITHOUT_KERNEL = {"empty", "new_empty", "empty_like", "empty_strided", "_unsafe_view"}
# Operations after which the host knows numbers of the device, so that it waits for them.
WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount", "unique2"}


class Launches(TorchDispatchMode):
    """Records the operations inside it; composite ones as what they are made of.

    names: those that launch a kernel, in order. waits: those after which the host waits, and copies
    from the device `watched` to another. peak: the most bytes that were alive at once, of results
    made in here. An RMS norm counts as the one kernel that it is on a GPU.
    """

    def __init__(self, watched: str = "meta") -> None:
        super().__init__()
        self.watched = watched
        self.names: list[str] = []
        self.waits: list[str] = []
        self.alive = self.peak = self.largest = 0
        self.inside_norm = False
        self.norms = NormsAsOne(self)

    def __enter__(self) -> "Launches":
        self.norms.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.norms.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        given, made = list(tensors((args, kwargs.values()))), list(tensors((result,)))
        if waits(name, given, made, self.watched):
            self.waits.append(name)
        if not (is_view(func) or name in WITHOUT_KERNEL or self.inside_norm):
            self.names.append(name)
        known = {key(tensor) for tensor in given}
        for tensor in made:
            if key(tensor) not in known and not is_view(func):
                self.add(tensor)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a result's memory, of any shape, until nothing refers to it."""
        storage = tensor.untyped_storage()
        self.alive += storage.nbytes()
        self.peak = max(self.peak, self.alive)
        self.largest = max(self.largest, storage.nbytes())
        weakref.finalize(storage, self.drop, storage.nbytes())

    def drop(self, size: int) -> None:
        """Count memory that is gone."""
        self.alive -= size


class NormsAsOne(TorchFunctionMode):
    """`torch.rms_norm` is one kernel on a GPU, and several operations elsewhere."""

    def __init__(self, launches: Launches) -> None:
        super().__init__()
        self.launches = launches

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        norm = func in (torch.rms_norm, torch.nn.functional.rms_norm)
        if norm:
            self.launches.names.append("rms_norm")
        before, self.launches.inside_norm = self.launches.inside_norm, norm
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.launches.inside_norm = before


def waits(name: str, given: list[Tensor], made: list[Tensor], watched: str) -> bool:
    """Whether the host waits for the device after the operation."""
    if name in WAITING or (name == "index" and any(x.dtype == torch.bool for x in given)):
        return True
    from_device = any(tensor.device.type == watched for tensor in given)
    return from_device and any(tensor.device.type != watched for tensor in made)


def is_view(func: Any) -> bool:
    """Whether the results share an input's memory and nothing is written."""
    returned = [value.alias_info for value in func._schema.returns]
    return any(info is not None and not info.is_write for info in returned)


def tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    """The tensors among values, and in lists of them; of any shapes."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list) or type(value).__name__ == "dict_values":
            yield from tensors(value)


def key(tensor: Tensor) -> int:
    """What identifies the memory of a tensor of any shape."""
    return int(tensor.untyped_storage()._cdata)
