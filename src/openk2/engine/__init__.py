"""Token ids in, token ids out: continuous batching over a paged latent cache.

One worker thread repeats a step: the scheduler names the requests, the batch makes tensors of
them, the model runs, the sampler chooses a token each. The engine knows no text: what ids mean,
which of them stop and what they may spell is for those who call it.
"""

from openk2.engine.engine import Engine, EngineStats
from openk2.protocol import EngineError

__all__ = ["Engine", "EngineError", "EngineStats"]
