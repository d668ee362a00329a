"""`Fp8Weight`, `Int4Weight`: weights as a checkpoint stores them, which the kernels multiply by.

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
FP8_PER_STEP = 4  # values of a row that lie together
# A multiplier times 2^120 is a float32 (quantized.h).
LARGEST_MULTIPLIER = 256.0


@dataclass(frozen=True)
class Fp8Weight:
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
class Int4Weight:
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


Quantized = Fp8Weight | Int4Weight
Weight = Tensor | Quantized


def plain(weight: Weight, dtype: torch.dtype) -> Tensor:
    """A quantized weight [N, K] dequantized to dtype; another weight, of any shape, as it is."""
    return weight.detach() if isinstance(weight, Tensor) else weight.dequantize(dtype)


def form_of(weight: Weight) -> str:
    """How the values of a weight of any shape are written, for comparing and for messages."""
    if isinstance(weight, Fp8Weight):
        return "block-fp8 in {} x {}".format(*weight.block)
    return f"int4 in {weight.group}" if isinstance(weight, Int4Weight) else str(weight.dtype)


def on_cpu(weight: Weight) -> bool:
    """Whether a weight of any shape lies in the CPU's memory."""
    return weight.is_cpu if isinstance(weight, Tensor) else weight.multipliers.is_cpu


def reads_blocks(weight: type[Quantized], block: tuple[int, int]) -> bool:
    """Whether the native kernels hold weights of this kind with a multiplier a block.

    block: rows and columns; int4's groups have one row.
    """
    rows, columns = block
    if not 0 < columns <= WIDEST_GROUP:
        return False
    if weight is Int4Weight:
        return rows == 1 and columns % PER_WORD == 0
    return rows > 0 and rows % COLUMNS_TOGETHER == 0 and columns % FP8_PER_STEP == 0


def check_quantized(weight: Quantized) -> None:
    """Raise ValueError or TypeError for a weight that the native kernels cannot hold."""
    shape, scales = weight.shape, weight.multipliers
    if isinstance(weight, Fp8Weight):
        block, kinds = weight.block, (weight.values.dtype, scales.dtype)
        if kinds != (torch.float8_e4m3fn, torch.float32):
            raise TypeError(f"values and multipliers are {kinds}: float8_e4m3fn, float32 wanted")
        if not (scales.abs() < LARGEST_MULTIPLIER).all():
            raise ValueError(
                f"a multiplier is not below {LARGEST_MULTIPLIER:g}: these are no e4m3 weights"
            )
    else:
        block, kinds = (1, weight.group), (weight.words.dtype, scales.dtype)
        if kinds != (torch.int32, torch.bfloat16):
            raise TypeError(f"words and multipliers are {kinds}: int32 and bfloat16 are wanted")
        if not scales.isfinite().all():
            raise ValueError("a multiplier is NaN or infinite: copy the checkpoint again")
    if not reads_blocks(type(weight), block):
        raise ValueError(
            f"blocks of {block[0]} x {block[1]} are not what the kernels read: dequantize the "
            "weight to bfloat16"
        )
    wanted = tuple(-(-size // step) for size, step in zip(shape, block, strict=True))
    if scales.shape != wanted:
        raise ValueError(f"multipliers are {list(scales.shape)}: {list(wanted)} are wanted")
