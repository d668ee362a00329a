"""Tile FP8: activations in float8 e4m3 with one float32 multiplier for every 128 values of a row.

How K2 keeps the inputs of its experts for the backward pass (report 2.4; DeepSeek-V3 report,
section 3.3). Rows are quantized alone, so a value's bits do not depend on what else is in a batch.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from openk2.kernels.block_fp8 import E4M3_MAX, SMALLEST_SCALE

TILE = 128


def quantize_tiles(x: Tensor) -> tuple[Tensor, Tensor]:
    """x [..., width] (any float dtype) -> e4m3 [..., width], multipliers [..., ceil(width / 128)].

    The report's FP8 storage of activations, 1x128 (section 2.4).

    A tile's largest magnitude becomes 448, e4m3's largest; a tile of zeros stays zeros. The error
    of a value v is at most max(|v| / 16, multiplier / 1024). A tile that holds inf or nan comes
    back as nan: the step that made it is refused by its loss or gradients, without a look here.
    """
    width = x.shape[-1]
    tiles = pad(x.float(), (0, -width % TILE)).unflatten(-1, (-1, TILE))
    scales = (tiles.abs().amax(-1) / E4M3_MAX).clamp(min=SMALLEST_SCALE)
    scaled = tiles / scales[..., None]
    return scaled.flatten(-2)[..., :width].to(torch.float8_e4m3fn), scales


def dequantize_tiles(quantized: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """What `quantize_tiles` kept, rounded once from float32 to `dtype`: [..., width]."""
    width = quantized.shape[-1]
    wide = pad(quantized.float(), (0, -width % TILE)).unflatten(-1, (-1, TILE))
    values: Tensor = (wide * scales[..., None]).flatten(-2)[..., :width]
    return values.to(dtype)
