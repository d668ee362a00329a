"""Stochastic rounding: what a 16-bit parameter keeps of an update smaller than its spacing.

A bfloat16 number is 0.4 to 0.8 % of itself away from the next. Rounded to nearest, a smaller change
is lost, in every step again. Rounded up or down at random, in proportion to the distance, it is
kept on average.
"""

import torch
from torch import Tensor

# float32 mantissa bits that the dtype lacks.
DROPPED_BITS = {torch.bfloat16: 16, torch.float16: 13}
MIXER = 1_000_003


def is_narrow(tensor: Tensor) -> bool:
    """Whether a tensor of any shape is bfloat16 or float16."""
    return tensor.dtype in DROPPED_BITS


def rounding_noise(device: torch.device, step: int, index: int, row: int) -> torch.Generator:
    """The random numbers with which one parameter is rounded in one step.

    They depend on nothing else, so that ranks that hold the same parameter round it alike and a
    resumed run rounds as the first one would have. index: of the parameter in its optimizer. row:
    the first row held here.
    """
    seed = ((step * MIXER + index) * MIXER + row) % 2**63
    return torch.Generator(device).manual_seed(seed)


def round_stochastically(values: Tensor, into: Tensor, noise: torch.Generator) -> None:
    """Write `values`, float32, into `into`, bfloat16 or float16 of the same shape.

    Each value becomes one of its two neighbours, the nearer one more often: the mean is the value.
    Infinities and NaN stay what they are.
    """
    bits = DROPPED_BITS[into.dtype]
    drawn = torch.empty(values.shape, dtype=torch.int32, device=values.device)
    drawn.random_(0, 1 << bits, generator=noise)
    # Adding to the dropped bits carries into the kept ones as often as they are large.
    kept = drawn.add_(values.view(torch.int32)).bitwise_and_(-1 << bits)
    # A carry out of a NaN's bits would make a zero of it.
    into.copy_(torch.where(values.isfinite(), kept.view(torch.float32), values))
