"""`BlockFp8`, `Int4`: a weight as a checkpoint stores it, which the kernels multiply by as it is.

A product dequantizes on the way. Each value becomes the float32 that `dequantize` gives, rounded to
bfloat16 where both operands of a bfloat16 product are; so it has the bits of a product with the
dequantized weight, and the error bounds of that. The twins compute it by torch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.kernels.block_fp8 import FP8_BLOCK, dequantize
from openk2.kernels.int4 import PER_WORD, dequantize_int4

# The widest group whose multiplier the kernels hold (`UNPACKED_K` of quantized.h).
WIDEST_GROUP = 128
# Half a panel has one e4m3 multiplier (panel.h), so a block holds whole halves.
COLUMNS_TOGETHER = 16
# A multiplier times 2^120 is a float32 (quantized.h).
LARGEST_MULTIPLIER = 256.0


@dataclass(frozen=True)
class BlockFp8:
    """values: e4m3 [N, K]. multipliers: float32, one a block; see `block_fp8`."""

    values: Tensor
    multipliers: Tensor
    block: tuple[int, int] = FP8_BLOCK

    @property
    def shape(self) -> torch.Size:
        """[N, K]."""
        return self.values.shape

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The weight [N, K], rounded once from float32 to dtype."""
        return dequantize(self.values, self.multipliers, self.block, dtype)


@dataclass(frozen=True)
class Int4:
    """words: int32 [N, K / 8]. multipliers: bfloat16 [N, K / group]; see `int4`."""

    words: Tensor
    multipliers: Tensor

    @property
    def shape(self) -> torch.Size:
        """[N, K]."""
        return torch.Size((self.words.shape[0], self.words.shape[1] * PER_WORD))

    @property
    def group(self) -> int:
        """Values of a row to a multiplier."""
        return self.shape[1] // self.multipliers.shape[1]

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The weight [N, K], exact in float32, rounded once to dtype."""
        return dequantize_int4(self.words, self.multipliers, dtype)


Quantized = BlockFp8 | Int4
Weight = Tensor | Quantized


def plain(weight: Weight, dtype: torch.dtype) -> Tensor:
    """A quantized weight [N, K] dequantized to dtype; another weight, of any shape, as it is."""
    return weight.detach() if isinstance(weight, Tensor) else weight.dequantize(dtype)


def form_of(weight: Weight) -> str:
    """How the values of a weight of any shape are written, for comparing and for messages."""
    if isinstance(weight, BlockFp8):
        return "block-fp8 in {} x {}".format(*weight.block)
    return f"int4 in {weight.group}" if isinstance(weight, Int4) else str(weight.dtype)


def on_cpu(weight: Weight) -> bool:
    """Whether a weight of any shape lies in the CPU's memory."""
    return weight.is_cpu if isinstance(weight, Tensor) else weight.multipliers.is_cpu


def check_quantized(weight: Quantized) -> None:
    """Raise ValueError or TypeError for a weight that the native kernels cannot hold."""
    shape, scales = weight.shape, weight.multipliers
    if isinstance(weight, BlockFp8):
        rows, group = weight.block
        wanted = (-(-shape[0] // max(1, rows)), -(-shape[1] // max(1, group)))
        kinds = weight.values.dtype, scales.dtype
        if kinds != (torch.float8_e4m3fn, torch.float32):
            raise TypeError(f"values and multipliers are {kinds}: float8_e4m3fn, float32 wanted")
        fits = rows > 0 and not rows % COLUMNS_TOGETHER and group > 0 and not group % 4
        if not (scales.abs() < LARGEST_MULTIPLIER).all():
            raise ValueError(
                f"a multiplier is not below {LARGEST_MULTIPLIER:g}: these are no e4m3 weights"
            )
    else:
        wanted = (shape[0], scales.shape[-1])
        kinds = weight.words.dtype, scales.dtype
        if kinds != (torch.int32, torch.bfloat16):
            raise TypeError(f"words and multipliers are {kinds}: int32 and bfloat16 are wanted")
        group = weight.group
        fits = not group % PER_WORD and group * scales.shape[1] == shape[1]
        if not scales.isfinite().all():
            raise ValueError("a multiplier is NaN or infinite: copy the checkpoint again")
    if scales.shape != wanted:
        raise ValueError(f"multipliers are {list(scales.shape)}: {list(wanted)} are wanted")
    if not fits or group > WIDEST_GROUP:
        layout = weight.block if isinstance(weight, BlockFp8) else group
        raise ValueError(
            f"blocks of {layout} are not what the kernels read: dequantize the weight to bfloat16"
        )
