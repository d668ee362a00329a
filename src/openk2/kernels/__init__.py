"""Fast paths beside their plain twins."""

from openk2.kernels.attention import latent_attention
from openk2.kernels.block_fp8 import dequantize, quantize
from openk2.kernels.experts import PackedExperts
from openk2.kernels.heads import PackedHeads
from openk2.kernels.linear import PackedLinear
from openk2.kernels.norm import rms_norm
from openk2.kernels.rotation import rotate
from openk2.kernels.routing import route
from openk2.kernels.swiglu import PackedSwiGLU

__all__ = [
    "PackedExperts",
    "PackedHeads",
    "PackedLinear",
    "PackedSwiGLU",
    "dequantize",
    "latent_attention",
    "quantize",
    "rms_norm",
    "rotate",
    "route",
]
