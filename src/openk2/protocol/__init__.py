"""The interfaces between packages: plain dataclasses and protocols, no tensors, no text.

A `TokenGenerator` turns prompt ids into output ids. The engine is one; a scripted fake in a test
is another. Packages that handle text (`generation`, `server`) depend on this package only, not on
the engine.
"""

from openk2.protocol.mask import TokenMask
from openk2.protocol.sampling import (
    BIAS_BOUNDS,
    MAX_LOGPROBS,
    SAMPLING_SETTINGS,
    Bounds,
    Sampling,
    SamplingParams,
    bounds_of,
)
from openk2.protocol.tokens import (
    EngineBusyError,
    EngineError,
    FinishReason,
    TokenChunk,
    TokenGenerator,
    TokenLogprobs,
)

__all__ = [
    "BIAS_BOUNDS",
    "MAX_LOGPROBS",
    "SAMPLING_SETTINGS",
    "Bounds",
    "EngineBusyError",
    "EngineError",
    "FinishReason",
    "Sampling",
    "SamplingParams",
    "TokenChunk",
    "TokenGenerator",
    "TokenLogprobs",
    "TokenMask",
    "bounds_of",
]
