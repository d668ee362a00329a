"""Rotary positions, interleaved as DeepSeek lays them out, with YaRN.

Pair i of a rotary part is its values 2i and 2i+1. YaRN (arXiv 2309.00071, section 3.2) divides the
frequency of slow pairs by `factor`, keeps fast pairs, and ramps linearly in between.
"""

import math

import torch
from torch import Tensor

from openk2.architecture import ModelConfig, Yarn


def inverse_frequencies(config: ModelConfig) -> Tensor:
    """Radians a position, float32 [qk_rope_head_dim / 2]."""
    dim = config.qk_rope_head_dim
    plain = config.rope_theta ** -(torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    yarn = config.rope_scaling
    if yarn is None:
        return plain
    keep = 1.0 - interpolation_ramp(yarn, dim, config.rope_theta)
    return plain / yarn.factor * (1.0 - keep) + plain * keep


def interpolation_ramp(yarn: Yarn, dim: int, theta: float) -> Tensor:
    """0 where a pair turns often enough to keep its frequency, 1 where it is interpolated.

    Returns float32 [dim / 2]. YaRN (arXiv 2309.00071), section 3.2.
    """

    def pair_with_rotations(rotations: float) -> float:
        wavelength = yarn.original_max_position_embeddings / (rotations * 2 * math.pi)
        return dim * math.log(wavelength) / (2 * math.log(theta))

    low = max(math.floor(pair_with_rotations(yarn.beta_fast)), 0)
    high = min(math.ceil(pair_with_rotations(yarn.beta_slow)), dim - 1)
    width = max(high - low, 0.001)
    pairs = torch.arange(dim // 2, dtype=torch.float32)
    return ((pairs - low) / width).clamp(0, 1)


def rotation(config: ModelConfig, frequencies: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin for `positions` [B, T]: float32 [B, T, qk_rope_head_dim / 2] each.

    YaRN scales both by the ratio of its two attention factors, which is 1 for every published
    K2 because mscale equals mscale_all_dim there.
    """
    angles = positions[..., None].float() * frequencies
    yarn = config.rope_scaling
    if yarn is None:
        return angles.cos(), angles.sin()
    ratio = yarn.attention_factor(yarn.mscale) / yarn.attention_factor(yarn.mscale_all_dim)
    return angles.cos() * ratio, angles.sin() * ratio


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate each pair of `x` [..., 2n] by its angle; cos and sin broadcast as [..., n]."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-2).to(x.dtype)
