"""Saved tensors: ways to get a tensor of the forward pass back in the backward pass.

Report 2.4, activation reduction: recomputed, FP8, offloaded. A `SavedSource` provides tensors by
number; a `Saved` is one reader's view of one of them. A source counts its readers, makes its
tensors at the first read and drops them after the last. What is decoded or recomputed is so once,
and lives no longer than the backward pass of its layer.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from openk2.kernels import dequantize_tiles, quantize_tiles


class SavedSource:
    """Tensors by number, made by `make` when they are wanted."""

    def __init__(self, make: Callable[[], Mapping[int, Tensor]]) -> None:
        self.make, self.readers = make, 0
        self.made: Mapping[int, Tensor] | None = None

    def read(self, number: int) -> Tensor:
        """The tensor of this number, of any shape, for one of the readers."""
        made = self.make() if self.made is None else self.made
        self.readers -= 1
        self.made = made if self.readers > 0 else None
        return made[number]


@dataclass(frozen=True)
class Saved:
    """A tensor to be read once: all of a source's tensor, or a view of its memory.

    view: size, stride and offset from the source's tensor; None for that itself.
    """

    source: SavedSource
    number: int = 0
    view: tuple[torch.Size, tuple[int, ...], int] | None = None

    def __post_init__(self) -> None:
        self.source.readers += 1

    def read(self) -> Tensor:
        """The tensor, in the shape and strides it was saved with."""
        base = self.source.read(self.number)
        if self.view is None:
            return base
        size, stride, offset = self.view
        return base.as_strided(size, stride, base.storage_offset() + offset)


@dataclass(frozen=True)
class Known:
    """A tensor of the running forward pass, and the source that the backward pass reads."""

    tensor: Tensor
    source: SavedSource
    number: int = 0

    def save(self, view: Tensor) -> Saved:
        """`view`, of any shape, a view of the tensor's memory, for one reader."""
        offset = int(view.storage_offset()) - int(self.tensor.storage_offset())
        return Saved(self.source, self.number, (view.size(), view.stride(), offset))


def as_it_is(tensor: Tensor) -> SavedSource:
    """The tensor itself, of any shape.

    Reading raises RuntimeError if it was changed in place in between.
    """
    alone, version = tensor.detach(), tensor._version

    def make() -> Mapping[int, Tensor]:
        if alone._version != version:
            raise RuntimeError(
                f"a tensor {list(alone.shape)} that the backward pass needs was changed in place"
            )
        return {0: alone}

    return SavedSource(make)


def on_the_host(tensor: Tensor) -> SavedSource:
    """A copy of all of the tensor's memory on the host, pinned if the tensor is on a GPU.

    tensor: of any shape and dtype; read, its memory is flat from its own offset on.
    """
    device, dtype = tensor.device, tensor.dtype
    count = tensor.untyped_storage().nbytes() // dtype.itemsize
    memory = tensor.detach().as_strided((count,), (1,), 0)
    host = torch.empty(count, dtype=dtype, pin_memory=device.type == "cuda").copy_(memory)
    offset = tensor.storage_offset()
    return SavedSource(lambda: {0: host.to(device)[offset:]})


def in_fp8(tensor: Tensor, keep: Callable[[Tensor], SavedSource] = as_it_is) -> SavedSource:
    """Rounded to FP8 in tiles of 1x128, at once; tiles and multipliers are kept as `keep` has it.

    tensor: [..., n], which fills its memory without gaps; read, it has its shape and dtype. Report,
    section 2.4.
    """
    parts = [(keep(part), part.shape) for part in quantize_tiles(tensor.detach())]
    dtype = tensor.dtype

    def make() -> Mapping[int, Tensor]:
        quantized, scales = (source.make()[0].view(shape) for source, shape in parts)
        return {0: dequantize_tiles(quantized, scales, dtype).contiguous()}

    return SavedSource(make)


class Region:
    """A function of tensors that the backward pass recomputes, under the same autocast.

    The second run provides the wanted tensors that autograd saved inside it under 0, 1, 2, ... in
    that order, and the results under -1, -2, ... It does not refer to its source: in a reference
    cycle, tensors would wait for Python's garbage collection.
    """

    def __init__(
        self, function: Callable[..., Any], inputs: Sequence[Tensor], saved: Sequence[Saved]
    ) -> None:
        self.function, self.saved = function, saved
        self.gradients = [tensor.requires_grad for tensor in inputs]
        self.device = inputs[0].device.type
        self.narrow = torch.is_autocast_enabled(self.device)
        self.dtype = torch.get_autocast_dtype(self.device)
        self.count, self.wanted = 0, set[int]()

    def autocast(self) -> AbstractContextManager[Any]:
        """The autocast that was on when the region was made."""
        return torch.autocast(self.device, dtype=self.dtype, enabled=self.narrow)

    def run(self) -> Mapping[int, Tensor]:
        """The second run: by number, the tensors that were wanted, in the shapes of the first."""
        inputs = [
            saved.read().detach().requires_grad_(gradient)
            for saved, gradient in zip(self.saved, self.gradients, strict=True)
        ]
        made: dict[int, Tensor] = {}
        count = 0

        def take(tensor: Tensor) -> Tensor:
            nonlocal count
            if count in self.wanted:
                made[count] = tensor.detach()
            count += 1
            return tensor.detach()

        with torch.enable_grad(), self.autocast(), saved_tensors_hooks(take, lambda t: t):
            results = self.function(*inputs)
        if count != self.count:
            raise RuntimeError(
                f"{self.function} saved {self.count} tensors and {count} when it ran again: "
                "a part to be recomputed must do the same both times"
            )
        for number, result in enumerate(as_tuple(results), 1):
            made[-number] = result.detach()
        return made


def as_tuple(results: Any) -> tuple[Tensor, ...]:
    """One result or several, of any shapes, as a tuple."""
    return results if isinstance(results, tuple) else (results,)
