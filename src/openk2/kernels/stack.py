"""`PackedStack`: all decoder layers of a packed model over pages, in one native call.

It calls the kernels that the layers call one by one, in the same order, so the bits are theirs
(a test compares them). What it saves is the way through Python between two kernels: about twenty
calls a layer, half of the time of a small model's token.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.attention import REFUSALS
from openk2.kernels.experts import PackedExperts
from openk2.kernels.heads import PackedHeads
from openk2.kernels.linear import PackedLinear
from openk2.kernels.native.shared_library import LAYER, PASS, type_of
from openk2.kernels.swiglu import PackedSwiGLU


@dataclass(frozen=True)
class PagedKeys:
    """Where the latents of a pass over N tokens of S sequences lie.

    pages: [layers, P, page_size, latent_dim] float32 or bfloat16. places: int64 [N], where each
    token's latent is stored among the P * page_size places. tables, sequence, lengths: see
    `latent_attention`.
    """

    pages: Tensor
    places: Tensor
    tables: Tensor
    sequence: Tensor
    lengths: Tensor


@dataclass(frozen=True)
class PackedRouter:
    """A router of E experts: its matrix [E, hidden] in float32, and the arguments of `route`."""

    weight: PackedLinear
    bias: Tensor
    count: int
    normalise: bool
    factor: float


@dataclass(frozen=True)
class PackedLayer:
    """A decoder layer's packed parts, by what they do; norms are their weights.

    query_norm, query_down: None if query_up reads the hidden state. router, routed: None in a dense
    layer. shared: the dense MLP or the shared experts. scale: of attention's products.
    """

    input_norm: Tensor
    query_norm: Tensor | None
    latent_norm: Tensor
    output_norm: Tensor
    query_down: PackedLinear | None
    query_up: PackedLinear
    latent_down: PackedLinear
    key_up: PackedHeads
    value_up: PackedHeads
    output: PackedLinear
    router: PackedRouter | None
    routed: PackedExperts | None
    shared: PackedSwiGLU | None
    scale: float
    eps: float

    def __post_init__(self) -> None:
        """Raise ValueError for parts that do not fit each other: the kernels believe what they
        say."""
        hidden, heads, rank = self.hidden, self.key_up.heads, self.rank
        query = hidden if self.query_down is None else self.query_down.columns
        widths = [
            (self.input_norm.numel(), hidden),
            (self.output_norm.numel(), hidden),
            (self.latent_norm.numel(), rank),
            (self.query_up.k, query),
            (self.query_up.columns, heads * (self.key_up.k + self.rope)),
            (self.latent_down.k, hidden),
            (self.rope % 2, 0),
            (self.value_up.heads, heads),
            (self.value_up.k, rank),
            (self.output.k, heads * self.value_up.columns),
        ]
        if self.query_down is not None:
            norm = 0 if self.query_norm is None else self.query_norm.numel()
            widths += [(self.query_down.k, hidden), (norm, query)]
        if self.router is not None and self.routed is not None:
            count = self.routed.count
            widths += [(self.router.weight.k, hidden), (self.router.weight.columns, count)]
            widths += [(self.router.bias.numel(), count), (self.routed.hidden, hidden)]
        if self.shared is not None:
            widths.append((self.shared.hidden, hidden))
        if any(have != wanted for have, wanted in widths) or self.rope < 2:
            raise ValueError(f"the parts of a layer do not fit each other: {widths}")
        if (self.router is None) != (self.routed is None) or not (self.routed or self.shared):
            raise ValueError("a layer has a router and experts, or neither and a dense MLP")

    @property
    def hidden(self) -> int:
        """The width of the hidden state."""
        return self.output.columns

    @property
    def rank(self) -> int:
        """The width of the latent without its rotated part."""
        return self.key_up.columns

    @property
    def rope(self) -> int:
        """The width of the rotated part."""
        return self.latent_down.columns - self.rank


class PackedStack:
    """Layers of one hidden size and one latent, ready for calls. Needs the native library."""

    def __init__(self, layers: Sequence[PackedLayer], isa: str | None = None) -> None:
        """isa: the instruction set that the layers were packed for.

        Raises ValueError for layers that do not fit each other, or none, and NativeError without
        the library.
        """
        library = native.library()
        if library is None:
            raise native.NativeError("layers in one call need the native library")
        if len({(layer.hidden, layer.rank, layer.rope) for layer in layers}) != 1:
            raise ValueError("the layers of a stack share hidden size and latent, and are not none")
        self._library, self._parts = library, layers
        first = layers[0]
        self.hidden, self.rope, self.latent_dim = first.hidden, first.rope, first.rank + first.rope
        kernels = library.kernels(isa)
        # What the addresses below point to, kept as long as they are.
        self._kept: list[ctypes.Array[ctypes.c_char]] = []
        addresses = [self._keep(self._record(layer, kernels)) for layer in layers]
        self._layers = (ctypes.c_void_p * len(addresses))(*addresses)

    def _keep(self, record: bytes) -> int:
        """The address of a copy of a record."""
        self._kept.append(ctypes.create_string_buffer(record, len(record)))
        return ctypes.addressof(self._kept[-1])

    def _record(self, layer: PackedLayer, kernels: int) -> bytes:
        def at(part: PackedLinear | PackedHeads | PackedExperts | PackedSwiGLU | None) -> int:
            return 0 if part is None else self._keep(part.record)

        router = layer.router
        return LAYER.pack(
            kernels,
            *_norm(layer.input_norm),
            *((0, 0) if layer.query_norm is None else _norm(layer.query_norm)),
            *_norm(layer.latent_norm),
            *_norm(layer.output_norm),
            at(layer.query_down),
            at(layer.query_up),
            at(layer.latent_down),
            at(layer.key_up),
            at(layer.value_up),
            at(layer.output),
            0 if router is None else at(router.weight),
            0 if router is None else router.bias.data_ptr(),
            at(layer.routed),
            at(layer.shared),
            layer.hidden,
            layer.key_up.heads,
            layer.key_up.k,
            layer.rope,
            layer.rank,
            0 if router is None else router.count,
            layer.scale,
            layer.eps,
            1.0 if router is None else router.factor,
            0 if router is None else router.normalise,
        )

    def __call__(self, x: Tensor, cos: Tensor, sin: Tensor, keys: PagedKeys) -> Tensor:
        """x [N, hidden] float32 or bfloat16 -> the hidden states after all layers, the same shape.

        cos, sin: float32 [N, rope / 2], of the tokens' positions. The tokens' latents are stored.
        Raises ValueError for shapes and numbers that do not fit, TypeError for other dtypes,
        MemoryError.
        """
        self._check(x, cos, sin, keys)
        x = x.clone(memory_format=torch.contiguous_format)
        inputs = (cos, sin, keys.places, keys.tables, keys.sequence, keys.lengths)
        cos, sin, places, tables, sequence, lengths = (part.contiguous() for part in inputs)
        call = PASS.pack(
            x.data_ptr(),
            len(x),
            cos.data_ptr(),
            sin.data_ptr(),
            places.data_ptr(),
            keys.pages.data_ptr(),
            keys.pages.shape[1],
            keys.pages.shape[2],
            tables.data_ptr(),
            tables.shape[0],
            tables.shape[1],
            tables.shape[1],
            sequence.data_ptr(),
            lengths.data_ptr(),
            type_of(x, "x"),
            type_of(keys.pages, "pages"),
        )
        refusal = self._library.stack(self._layers, len(self._layers), call)
        if refusal:
            raise ValueError(REFUSALS.get(refusal, "places names one that is in no page"))
        return x

    def _check(self, x: Tensor, cos: Tensor, sin: Tensor, keys: PagedKeys) -> None:
        count, pages = len(x), keys.pages
        if pages.dim() != 4 or keys.tables.dim() != 2 or not pages.is_contiguous():
            raise ValueError("pages are not four dense dimensions, or tables not two")
        layers = (len(self._layers), *pages.shape[1:3], self.latent_dim)
        int32, int64, float32 = torch.int32, torch.int64, torch.float32
        for name, tensor, shape, dtype in (
            ("x", x, (count, self.hidden), x.dtype),
            ("cos", cos, (count, self.rope // 2), float32),
            ("sin", sin, (count, self.rope // 2), float32),
            ("pages", pages, layers, pages.dtype),
            ("places", keys.places, (count,), int64),
            ("tables", keys.tables, tuple(keys.tables.shape), int32),
            ("sequence", keys.sequence, (count,), int32),
            ("lengths", keys.lengths, (count,), int32),
        ):
            if tensor.shape != shape:
                raise ValueError(f"{name} is {list(tensor.shape)}: {list(shape)} is wanted")
            if tensor.dtype != dtype or not tensor.is_cpu:
                raise TypeError(f"{name} is {tensor.dtype} on {tensor.device}: {dtype} is wanted")


def _norm(weight: Tensor) -> tuple[int, int]:
    """A norm's weight [width] as the record has it."""
    if not weight.is_contiguous():
        raise ValueError("a norm's weight is not contiguous")
    return weight.data_ptr(), type_of(weight, "a norm's weight")
