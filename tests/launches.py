"""Which operations a step dispatches: how many would launch a kernel, and the largest result."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# Operations that make no kernel run although their results are no views of their inputs.
WITHOUT_KERNEL = ("empty", "new_empty", "empty_like", "empty_strided", "_unsafe_view", "detach")
# Operations with which the host waits for numbers of the device.
WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "bincount")


class Launches(TorchDispatchMode):
    """Counts what is dispatched inside it.

    names: the operations that launch kernels, in order. largest: bytes of the largest storage that
    any operation returned, and `largest_name` the operation. waits: operations after which the host
    waits for the device, and copies between devices.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.waits: list[str] = []
        self.largest, self.largest_name = 0, ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        name = func.overloadpacket.__name__
        if name in WAITING or (name == "index" and indexes_by_truth(args)):
            self.waits.append(name)
        if not is_view(func) and name not in WITHOUT_KERNEL:
            self.names.append(name)
        given = {storage(x) for x in (*args, *kwargs.values()) if isinstance(x, Tensor)}
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and storage(tensor) not in given:
                size = tensor.untyped_storage().nbytes()
                if size > self.largest:
                    self.largest, self.largest_name = size, name
        return result


def is_view(func: Any) -> bool:
    """Whether the operation's results share their input's memory and nothing is written."""
    returned = [value.alias_info for value in func._schema.returns]
    return any(info is not None and not info.is_write for info in returned)


def indexes_by_truth(args: tuple) -> bool:
    """Whether an `index` takes a mask, which must be counted before its result has a shape."""
    return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in args[1])


def storage(tensor: Tensor) -> int:
    """A key for the tensor's memory."""
    return int(tensor.untyped_storage()._cdata)
