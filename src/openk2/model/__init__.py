"""The network: one definition, one device, for training and for serving (report section 2.3).

It knows tensors and a `ModelConfig`; it knows no text, no process group and no file.
"""

from openk2.model.activations import Keeping
from openk2.model.attention import LatentAttention
from openk2.model.cache import AttendingCache, ContiguousCache, LatentCache
from openk2.model.context import (
    CachedKeys,
    KeysInCache,
    LayerContext,
    OwnKeys,
    causal_mask,
    layer_context,
)
from openk2.model.copying_start import Circuit, CopyingStart
from openk2.model.core_attention import AttentionWeights, CoreAttention, Weigh
from openk2.model.dispatch import Arrived, Dispatch, unmoved
from openk2.model.experts import (
    Experts,
    MixtureOfExperts,
    RoutedExperts,
    Router,
    StreamedLayer,
    SwiGLU,
    permute,
)
from openk2.model.initial import initialise
from openk2.model.linear import Linear
from openk2.model.norm import RMSNorm
from openk2.model.observation import Observation
from openk2.model.rope import inverse_frequencies, rotation
from openk2.model.spans import SPAN_BLOCK, Span
from openk2.model.transformer import DecoderLayer, K2Model, through_layers

__all__ = [
    "SPAN_BLOCK",
    "Arrived",
    "AttendingCache",
    "AttentionWeights",
    "CachedKeys",
    "Circuit",
    "ContiguousCache",
    "CopyingStart",
    "CoreAttention",
    "DecoderLayer",
    "Dispatch",
    "Experts",
    "K2Model",
    "Keeping",
    "KeysInCache",
    "LatentAttention",
    "LatentCache",
    "LayerContext",
    "Linear",
    "MixtureOfExperts",
    "Observation",
    "OwnKeys",
    "RMSNorm",
    "RoutedExperts",
    "Router",
    "Span",
    "StreamedLayer",
    "SwiGLU",
    "Weigh",
    "causal_mask",
    "initialise",
    "inverse_frequencies",
    "layer_context",
    "permute",
    "rotation",
    "through_layers",
    "unmoved",
]
