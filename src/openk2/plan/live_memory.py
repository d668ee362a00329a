"""Counts the memory that is alive while operations run, on real tensors or on fake ones.

An operation whose result has new memory adds it; it is removed with the last tensor or saved value
that holds it. What a forward pass leaves alive is therefore what it saves for the backward pass, in
whatever way.
"""

import weakref
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

COPY = torch.ops.aten.copy_.default


@dataclass
class MemoryBlock:
    """Memory that is alive: its bytes, the part of the network that asked for it, and where it is.

    host: a copy of something made in a forward pass, which nothing but offloading does.
    """

    size: int
    part: str
    host: bool = False


class LiveMemory(TorchDispatchMode):
    """Counts the memory that operations inside `with` make and that still lives.

    peak: the most bytes on the device at once since it was last set to 0.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.parts = ["other"]
        self.blocks: dict[int, MemoryBlock] = {}
        self.from_outside: set[int] = set()
        self.on_device = self.peak = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation and take note of the memory of its results."""
        for tensor in tensors_in((args, kwargs)):
            self.pass_over(tensor)
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            self.see(tensor)
        if func is COPY:
            self.see_host_copy(*args[:2])
        return result

    def enter(self, part: str) -> None:
        """Count memory that is allocated from now on as memory of `part`, until `leave`."""
        self.parts.append(part)

    def leave(self) -> None:
        """Return to the part that was entered before."""
        self.parts.pop()

    def alive(self, *, host: bool) -> Counter[str]:
        """Bytes by part, on the device or on the host."""
        totals = Counter[str]()
        for block in self.blocks.values():
            if block.host == host:
                totals[block.part] += block.size
        return totals

    def pass_over(self, tensor: Tensor) -> None:
        """Leave out memory that was made elsewhere: parameters and inputs, of any shape."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.blocks and key not in self.from_outside:
            self.from_outside.add(key)
            weakref.finalize(storage, self.from_outside.discard, key)

    def see(self, tensor: Tensor) -> None:
        """Add the memory of a tensor of any shape if it is new."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.blocks or key in self.from_outside:
            return
        self.blocks[key] = MemoryBlock(storage.nbytes(), self.parts[-1])
        self.on_device += storage.nbytes()
        self.peak = max(self.peak, self.on_device)
        weakref.finalize(storage, self.forget, key)

    def see_host_copy(self, target: Tensor, source: Tensor) -> None:
        """What was copied into memory of its own has left the device; it is of the same part.

        target, source: of any shapes; only whose memory they are counts.
        """
        block = self.blocks.get(target.untyped_storage()._cdata)
        copied = self.blocks.get(source.untyped_storage()._cdata)
        if block is not None and copied is not None and not block.host:
            block.host, block.part = True, copied.part
            self.on_device -= block.size

    def forget(self, key: int) -> None:
        """The memory is gone."""
        block = self.blocks.pop(key)
        if not block.host:
            self.on_device -= block.size


def tensors_in(tree: Any) -> list[Tensor]:
    """The tensors, of any shapes, of nested tuples, lists and dicts."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
