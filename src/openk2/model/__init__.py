"""The network: one definition, one device, for training and for serving.

It knows tensors and a `ModelConfig`; it knows no text, no process group and no file.
"""

from openk2.model.cache import ContiguousCache, LatentCache
from openk2.model.observation import Observation
from openk2.model.transformer import K2Model

__all__ = ["ContiguousCache", "K2Model", "LatentCache", "Observation"]
