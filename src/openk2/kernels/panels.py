"""A weight matrix in the order in which the native kernels read it.

Panels of 32 output columns; in a panel, step by step along k, 4 bytes a column: one float32 value,
two bfloat16, four e4m3 or eight int4 ones. Columns and k are filled up with zeros. The multipliers
of a quantized weight are in its panels too: native/panel.h.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from openk2.kernels.native.shared_library import E4M3, INT4, TYPES, Library, type_of
from openk2.kernels.quantized import Fp8Weight, Quantized, Weight, check_quantized

PANEL = 32
HALF = PANEL // 2
STEP_BYTES = 4 * PANEL
LINE = 64  # bytes that an e4m3 panel's multipliers are filled up to
VALUES_OF_STEP = {0: 1, 1: 2, E4M3: 4, INT4: 8}  # by the library's name of a type


@dataclass(frozen=True)
class PanelLayout:
    """How panels of k values are laid out: a type as the library names it; values to a multiplier,
    0 where there are none."""

    type: int
    group: int

    def panel_bytes(self, k: int) -> int:
        """Bytes of a panel."""
        steps = -(-k // VALUES_OF_STEP[self.type]) * STEP_BYTES
        groups = -(-k // self.group) if self.group else 0
        if self.type == E4M3:
            return steps + -(-groups * 2 * 4 // LINE) * LINE
        return steps + groups * PANEL * 2


def layout_of(weight: Weight) -> PanelLayout:
    """The layout of a weight [..., K] once packed.

    Raises TypeError or ValueError for one that the kernels cannot hold.
    """
    if isinstance(weight, Tensor):
        return PanelLayout(type_of(weight, "weight"), 0)
    check_quantized(weight)
    if isinstance(weight, Fp8Weight):
        return PanelLayout(E4M3, weight.block[1])
    return PanelLayout(INT4, weight.group)


def empty_panels(layout: PanelLayout, count: int, columns: int, k: int, beside: bool) -> Tensor:
    """Room for `count` packed weights [columns, k]: uint8 [count, panels, bytes].

    beside: a panel then has 16 columns of each of two weights.
    """
    panels = -(-columns // (HALF if beside else PANEL))
    return torch.empty(count, panels, layout.panel_bytes(k), dtype=torch.uint8)


def pack_into(library: Library, weight: Weight, out: Tensor, beside: Weight | None = None) -> None:
    """Pack weight [N, K] into `out` uint8 [panels, bytes], made by `empty_panels`.

    beside: a weight of the same shape and kind; a panel then holds 16 columns of the first and
        the same 16 of this one, so that one product gives both.
    Raises ValueError for e4m3 values that are NaN.
    """
    columns, k = weight.shape
    if isinstance(weight, Tensor):
        assert beside is None or isinstance(beside, Tensor)
        first, second = contiguous(weight), None if beside is None else contiguous(beside)
        library.pack(
            first.data_ptr(),
            None if second is None else second.data_ptr(),
            columns * k,
            k,
            1,
            columns,
            k,
            TYPES[weight.dtype],
            out.data_ptr(),
        )
        return
    assert beside is None or not isinstance(beside, Tensor)
    pack_quantized(library, weight, beside, out)


def pack_quantized(
    library: Library, weight: Quantized, beside: Quantized | None, out: Tensor
) -> None:
    """`pack_into` of a quantized weight [N, K], out uint8 [panels, bytes]; see there."""
    layout = layout_of(weight)
    parts = [contiguous(part) for part in parts_of(weight)]
    others = [] if beside is None else [contiguous(part) for part in parts_of(beside)]
    addresses = [part.data_ptr() for part in (*parts, *others)]
    columns, k = weight.shape
    if library.pack_quantized(
        *addresses,
        *[None] * (4 - len(addresses)),
        columns,
        k,
        weight.block[0] if isinstance(weight, Fp8Weight) else 1,
        layout.group,
        layout.type,
        out.data_ptr(),
    ):
        raise ValueError("a weight holds NaN, which block fp8 never has: copy the checkpoint again")


def parts_of(weight: Quantized) -> tuple[Tensor, Tensor]:
    """Values and multipliers of a weight [N, K]. Raises TypeError if they are not on the CPU."""
    values = weight.values if isinstance(weight, Fp8Weight) else weight.words
    if not (values.is_cpu and weight.multipliers.is_cpu):
        raise TypeError(f"the weight is on {values.device}: the kernels take the CPU's")
    return values, weight.multipliers


def contiguous(tensor: Tensor) -> Tensor:
    """A tensor of any shape, detached, dense."""
    return tensor.detach().contiguous()


def panels_twin(weight: Tensor) -> Tensor:
    """`pack_into` of float32 or bfloat16 weights [..., N, K], by torch: [..., panels, steps, 32] in
    4-byte units, float32 where the weight is, int32 otherwise."""
    columns, k = weight.shape[-2:]
    if weight.dtype == torch.bfloat16:
        weight = pad(weight, (0, k % 2)).contiguous().view(torch.int32)
    filled = pad(weight, (0, 0, 0, -columns % PANEL))
    panels: Tensor = filled.unflatten(-2, (-1, PANEL)).transpose(-1, -2).contiguous()
    return panels


def paired_twin(weight: Tensor, beside: Tensor) -> Tensor:
    """`pack_into` of two weights [B, N, K], by torch; see `panels_twin`."""
    filled = pad(torch.stack((weight, beside), dim=1), (0, 0, 0, -weight.shape[1] % HALF))
    return panels_twin(filled.unflatten(2, (-1, HALF)).transpose(1, 2).flatten(1, 3))
