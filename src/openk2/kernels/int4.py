"""int4: a weight matrix in 4-bit integers with one bfloat16 multiplier a group of a row's values.

The layout of the published K2-Thinking weights (compressed-tensors, "pack-quantized", symmetric,
groups of 32): `weight_packed` int32 [out, in / 8] and `weight_scale` bfloat16 [out, in / group],
where (nibble - 8) * scale gives the value back. Of the eight values in a word, the first is in
the lowest four bits. Everything goes strip by strip, so that the float32 intermediate stays in the
processor's cache. Little-endian machines.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.native.shared_library import TYPES

INT4_GROUP = 32
PER_WORD = 8  # values in an int32
LARGEST = 7  # -8 is read, and written only for a group that had it
SMALLEST_SCALE = torch.finfo(torch.bfloat16).tiny
LONGEST_NATIVE_GROUP = 1024
STRIP_VALUES = 1 << 16  # float32 values of a strip: 256 KiB
PROBES = 4  # values of a group that tell whether it can have been int4 before


def pack_int4(values: Tensor) -> Tensor:
    """Pack int8 values [out, in] from -8 to 7 into int32 words [out, in / 8].

    Raises ValueError if `in` is not a multiple of 8.
    """
    if values.shape[-1] % PER_WORD:
        raise ValueError(f"{values.shape[-1]} values do not fill words of {PER_WORD}")
    nibbles = (values + 8).view(torch.uint8)
    return (nibbles[:, 0::2] | (nibbles[:, 1::2] << 4)).view(torch.int32)


def unpack_int4(packed: Tensor) -> Tensor:
    """The int8 values [out, in], from -8 to 7, of int32 words [out, in / 8]."""
    pairs = packed.contiguous().view(torch.uint8)
    return torch.stack((pairs & 15, pairs >> 4), -1).flatten(-2).view(torch.int8) - 8


def quantize_int4(weight: Tensor, group: int = INT4_GROUP) -> tuple[Tensor, Tensor]:
    """Quantize `weight` [out, in] (any float dtype) to packed words and bfloat16 multipliers.

    Returns int32 [out, in / 8] and bfloat16 [out, in / group]. A group's largest magnitude becomes
    7 and every value the nearest multiple of the scale, so it is off by at most half of it: 1/14 of
    the group's largest magnitude (1 + 2^-8 times that, since the scale is rounded to bfloat16). A
    group of zeros stays zeros. A group that was int4 before, with 7 or -8 as its largest value,
    gets its old values back: int4 -> `weight`'s dtype -> int4 -> that dtype changes no value.
    Raises ValueError if a value is not finite or `group` does not divide the row.
    """
    height, width = weight.shape
    _refuse_group(width, group)
    packed = torch.empty(height, width // PER_WORD, dtype=torch.int32, device=weight.device)
    scale = torch.empty(height, width // group, dtype=torch.bfloat16, device=weight.device)
    finite = _quantize_natively(weight, group, packed, scale)
    if finite is None:
        finite = _quantize_plainly(weight, group, packed, scale)
    if not finite:
        raise ValueError("the weight holds inf or nan, which int4 cannot store: repair it first")
    return packed, scale


def _quantize_plainly(weight: Tensor, group: int, packed: Tensor, scale: Tensor) -> bool:
    """The plain twin of the native kernel: fills `packed` and `scale`; whether all are finite."""
    for rows in _strips(*weight.shape):
        stored = weight[rows].unflatten(1, (-1, group))
        values = stored.float()
        largest = values.abs().amax(-1)
        scales = (largest / LARGEST).clamp(min=SMALLEST_SCALE).bfloat16()
        _keep_lattices(values, largest, scales, stored.dtype)
        steps = (values / scales.float()[..., None]).round_().clamp_(-8, LARGEST)
        packed[rows] = pack_int4(steps.to(torch.int8).flatten(1))
        scale[rows] = scales
    return bool(torch.isfinite(scale).all())


def _quantize_natively(weight: Tensor, group: int, packed: Tensor, scale: Tensor) -> bool | None:
    """`_quantize_plainly` by the native kernel, with the same bits; None where it cannot."""
    library = native.library() if weight.is_cpu and weight.dtype in TYPES else None
    if library is None or group > LONGEST_NATIVE_GROUP:
        return None
    dense = weight.detach().contiguous()
    return bool(
        library.quantize_int4(
            dense.data_ptr(),
            TYPES[dense.dtype],
            packed.data_ptr(),
            scale.data_ptr(),
            *dense.shape,
            group,
            SMALLEST_SCALE,
        )
    )


def dequantize_int4(
    packed: Tensor,
    scale: Tensor,
    dtype: torch.dtype = torch.bfloat16,
    out: Tensor | None = None,
) -> Tensor:
    """Return the weight [out, in] of words [out, in / 8] and multipliers [out, in / group].

    The product of value and scale is exact in float32 and rounded once to `dtype`; in bfloat16 the
    bits are those of compressed-tensors. `out` [out, in], if given, is filled and returned; its
    dtype then counts. Raises ValueError if the shapes do not belong together.
    """
    height, width = packed.shape[0], packed.shape[1] * PER_WORD
    groups = scale.shape[1] if scale.dim() == 2 else 0
    if not groups or scale.shape[0] != height or width % groups:
        raise ValueError(
            f"weight_scale is {list(scale.shape)}; a weight of {height} x {width} needs "
            f"[{height}, groups], the groups of equal size"
        )
    if out is None:
        out = torch.empty(height, width, dtype=dtype, device=packed.device)
    if not _dequantize_natively(packed, scale, out):
        _dequantize_plainly(packed, scale, out)
    return out


def _dequantize_plainly(packed: Tensor, scale: Tensor, out: Tensor) -> None:
    """The plain twin of the native kernel: fills `out` [out, in]."""
    groups = scale.shape[1]
    for rows in _strips(*out.shape):
        values = unpack_int4(packed[rows]).unflatten(1, (groups, -1)).float()
        out[rows] = (values * scale[rows].float()[..., None]).flatten(1)


def _dequantize_natively(packed: Tensor, scale: Tensor, out: Tensor) -> bool:
    """`_dequantize_plainly` by the native kernel, with the same bits; False where it cannot."""
    known = out.dtype in TYPES and scale.dtype in TYPES and packed.dtype == torch.int32
    library = native.library() if known and packed.is_cpu and out.is_cpu else None
    group = packed.shape[1] * PER_WORD // scale.shape[1]
    if library is None or out.stride(1) != 1 or group % 2 or group > LONGEST_NATIVE_GROUP:
        return False
    words, scales = packed.contiguous(), scale.contiguous()
    library.dequantize_int4(
        words.data_ptr(),
        scales.data_ptr(),
        TYPES[scales.dtype],
        out.data_ptr(),
        out.stride(0),
        TYPES[out.dtype],
        *out.shape,
        group,
    )
    return True


def _keep_lattices(values: Tensor, largest: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
    """Where all of a group are multiples of one scale, rounded to `dtype`, put it in `scales`.

    values [rows, groups, group] float32; largest, scales [rows, groups], the latter changed.
    Dividing the largest value by 7 misses the old scale by a unit in the last place at times,
    because 7 * scale was rounded; a few values tell the groups that are worth a search.
    """
    for steps in (8, LARGEST):  # the last that fits stays: 7, the scale that division gave
        guess = (largest / steps)[..., None]
        probe = values[..., :: max(1, values.shape[-1] // PROBES)]
        nearest = (probe / guess).round() * guess
        found = ((probe - nearest).abs() <= nearest.abs() / 64).all(-1) & (largest > 0)
        if not found.any():
            continue
        group, peak = values[found], largest[found]
        close = (peak / steps).bfloat16()
        answer = scales[found]
        for ulp in (-1, 1, 0):
            candidate = (close.view(torch.int16) + ulp).view(torch.bfloat16)
            wide = candidate.float()[:, None]
            counts = (group / wide).round().clamp(-8, LARGEST)
            exact = ((counts * wide).to(dtype).float() == group).all(-1)
            answer = torch.where(exact, candidate, answer)
        scales[found] = answer


def _strips(height: int, width: int) -> Iterator[slice]:
    """Slices of rows of about STRIP_VALUES values each."""
    rows = max(1, STRIP_VALUES // max(1, width))
    for start in range(0, height, rows):
        yield slice(start, start + rows)


def _refuse_group(width: int, group: int) -> None:
    if group < PER_WORD or group % PER_WORD or width % group:
        raise ValueError(
            f"rows of {width} values do not divide into int4 groups of {group}: a group is a "
            f"multiple of {PER_WORD} that divides the row"
        )
