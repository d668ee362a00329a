"""Fast paths beside their plain twins."""

from openk2.kernels.block_fp8 import dequantize, quantize

__all__ = ["dequantize", "quantize"]
