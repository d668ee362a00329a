"""Fast kernels, each beside a plain twin in torch that a test compares it with.

On a CPU they run in the C++ library of `native`, where there is one, and in torch otherwise.
"""

from openk2.kernels import native
from openk2.kernels.attention import latent_attention
from openk2.kernels.block_fp8 import FP8_BLOCK, dequantize, quantize
from openk2.kernels.expert_slots import ABSENT, ExpertForm, ExpertSlots
from openk2.kernels.experts import PackedExperts
from openk2.kernels.grouped import grouped_product
from openk2.kernels.heads import PackedHeads
from openk2.kernels.int4 import (
    INT4_GROUP,
    dequantize_int4,
    pack_int4,
    quantize_int4,
    unpack_int4,
)
from openk2.kernels.linear import PackedLinear
from openk2.kernels.newton_schulz import (
    iterate_newton_schulz,
    newton_schulz_chains,
    newton_schulz_twin,
)
from openk2.kernels.norm import rms_norm
from openk2.kernels.quantized import (
    Fp8Weight,
    Int4Weight,
    Quantized,
    Weight,
    form_of,
    plain,
    reads_blocks,
)
from openk2.kernels.rotation import rotate
from openk2.kernels.routing import route
from openk2.kernels.squares import squared_error
from openk2.kernels.stack import PackedLayer, PackedRouter, PackedStack, PagedKeys
from openk2.kernels.swiglu import PackedSwiGLU
from openk2.kernels.tile_fp8 import dequantize_tiles, quantize_tiles
from openk2.kernels.wave_attention import HIDDEN, Wave, wave_attention

__all__ = [
    "ABSENT",
    "FP8_BLOCK",
    "HIDDEN",
    "INT4_GROUP",
    "ExpertForm",
    "ExpertSlots",
    "Fp8Weight",
    "Int4Weight",
    "PackedExperts",
    "PackedHeads",
    "PackedLayer",
    "PackedLinear",
    "PackedRouter",
    "PackedStack",
    "PackedSwiGLU",
    "PagedKeys",
    "Quantized",
    "Wave",
    "Weight",
    "dequantize",
    "dequantize_int4",
    "dequantize_tiles",
    "form_of",
    "grouped_product",
    "iterate_newton_schulz",
    "latent_attention",
    "native",
    "newton_schulz_chains",
    "newton_schulz_twin",
    "pack_int4",
    "plain",
    "quantize",
    "quantize_int4",
    "quantize_tiles",
    "reads_blocks",
    "rms_norm",
    "rotate",
    "route",
    "squared_error",
    "unpack_int4",
    "wave_attention",
]
