"""Saved tensors of a forward pass: unchanged, in FP8, on the host, or recomputed (report 2.4).

Autograd's hooks ask for each tensor how to save it. The model declares its named parts, functions
of inputs to results (`compute`), and tensors that may be rounded (`roundable`). The forward pass
computes the same bits in every case. A recomputed part saves its inputs only: neither its results,
which later operations need, nor what is saved inside. Nothing outside the named parts runs twice:
no routing, no exchange between processes, no observation.

Tensors are identified by their memory while their layer runs forward; until then they are held.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from openk2.model.saved_tensor import (
    Known,
    Region,
    Saved,
    SavedSource,
    as_it_is,
    as_tuple,
    in_fp8,
    on_the_host,
)

R = TypeVar("R")  # a tensor, or a tuple of them
Part = Literal["norms", "swiglu", "mla_up", "moe_down"]
# What makes another form of a parameter: another dtype, one of a stack, transposed.
FORMS = {"ToCopyBackward0", "TBackward0", "UnbindBackward0", "TransposeBackward0", "ViewBackward0"}


@dataclass(frozen=True)
class Keeping:
    """How to save activations.

    recompute: the parts that save their inputs only. fp8_inputs: roundable tensors are saved in
    FP8. offload: saved tensors, FP8 included, are kept in host memory; weights stay.
    """

    recompute: frozenset[Part] = frozenset()
    fp8_inputs: bool = False
    offload: bool = False


class Activations:
    """How one layer saves its activations; by default as autograd does."""

    def __init__(self, keeping: Keeping = Keeping()) -> None:
        self.keeping = keeping
        self.known: dict[int, Known] | None = None
        self.region: tuple[Region, SavedSource] | None = None

    @contextmanager
    def layer(self) -> Iterator[None]:
        """Run the layer's forward pass inside this."""
        if self.keeping == Keeping() or not torch.is_grad_enabled():
            yield
            return
        self.known = {}
        try:
            with saved_tensors_hooks(self.pack, Saved.read):
                yield
        finally:
            self.known = None

    def compute(self, part: Part, function: Callable[..., R], *inputs: Tensor) -> R:
        """Return function(*inputs), a tensor or a tuple, as a part that may be recomputed.

        inputs: of any shapes. The function may use parameters besides; it has no side effect and no
        randomness.
        """
        if self.known is None or self.region or part not in self.keeping.recompute:
            return function(*inputs)
        saved = [self.know(tensor).save(tensor) for tensor in inputs]
        region = Region(function, inputs, saved)
        source = SavedSource(region.run)
        self.region = region, source
        try:
            results = function(*inputs)
        finally:
            self.region = None
        for number, result in enumerate(as_tuple(results), 1):
            # An input that the function returns unchanged keeps its own source.
            self.known.setdefault(memory(result), Known(result, source, -number))
        return results

    def roundable(self, tensor: Tensor) -> Tensor:
        """Return `tensor`, of any shape, unchanged; what backward saves may be rounded to FP8.

        Raises ValueError for a view of a larger tensor.
        """
        if self.known is None or self.region or not self.keeping.fp8_inputs or not tensor.numel():
            return tensor
        if tensor.untyped_storage().nbytes() != tensor.numel() * tensor.element_size():
            raise ValueError(f"a view {list(tensor.shape)} of a larger tensor cannot be rounded")
        if memory(tensor) not in self.known:
            keep = on_the_host if self.keeping.offload else as_it_is
            self.known[memory(tensor)] = Known(tensor, in_fp8(tensor, keep))
        return tensor

    def know(self, tensor: Tensor) -> Known:
        """How the memory of a tensor of any shape is saved for the backward pass."""
        assert self.known is not None
        known = self.known.get(memory(tensor))
        if known is None:
            known = self.known[memory(tensor)] = Known(tensor, self.source(tensor))
        return known

    def source(self, tensor: Tensor) -> SavedSource:
        """How to save a tensor, of any shape, that is neither a part's nor roundable."""
        if self.keeping.offload and not is_weight(tensor):
            return on_the_host(tensor)
        return as_it_is(tensor)

    def pack(self, tensor: Tensor) -> Saved:
        """The autograd hook: what is stored in place of a saved tensor of any shape."""
        assert self.known is not None
        if self.region is not None:
            region, source = self.region
            number = region.count
            region.count += 1
            if memory(tensor) not in self.known and not is_leaf(tensor):
                region.wanted.add(number)
                return Saved(source, number)
        return self.know(tensor).save(tensor)


def compute_dtype(x: Tensor) -> Tensor:
    """x, of any shape, in autocast's dtype for matrix products; x itself without autocast."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def memory(tensor: Tensor) -> int:
    """A key for the memory of a tensor of any shape, unique while the tensor is held."""
    return int(tensor.untyped_storage()._cdata)


def is_leaf(tensor: Tensor) -> bool:
    """Whether no operation with a gradient made it: a parameter, positions, a mask, or a view.

    tensor: of any shape.
    """
    return tensor.is_leaf or (tensor._base is not None and tensor._base.is_leaf)


def is_weight(tensor: Tensor) -> bool:
    """Whether it is a parameter or another form of one, which is no activation.

    tensor: of any shape.
    """
    if tensor.is_leaf:
        return tensor.requires_grad
    node: Any = tensor.grad_fn
    while node is not None and node.name() in FORMS:
        node = node.next_functions[0][0]
    return node is not None and node.name() == "torch::autograd::AccumulateGrad"
