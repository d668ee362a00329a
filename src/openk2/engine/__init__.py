"""Token ids in, token ids out: continuous batching over a paged latent cache.

One worker thread repeats a step: the scheduler picks requests, their pending tokens become tensors,
the model runs, the sampler picks one token for each. The engine knows no text: callers say which
ids stop an output, and masks say which may come next.
"""

from openk2.engine.engine import Engine, EngineStats
from openk2.protocol import EngineError

__all__ = ["Engine", "EngineError", "EngineStats"]
