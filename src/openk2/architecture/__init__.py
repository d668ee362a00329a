"""Shapes without tensors: the configuration and what it costs."""

from openk2.architecture.config import ModelConfig
from openk2.architecture.error import ConfigError
from openk2.architecture.flops import (
    ForwardFlops,
    forward_flops,
    head_flops,
    layer_flops,
    newton_schulz_flops,
    training_flops,
)
from openk2.architecture.licence import LICENCE
from openk2.architecture.parameters import ParameterCount, count_parameters, layer_parameters
from openk2.architecture.quantization import Int4, Quantization
from openk2.architecture.rope import Yarn
from openk2.architecture.tensor_names import INDEX_FILE, layer_of, text_name

__all__ = [
    "INDEX_FILE",
    "LICENCE",
    "ConfigError",
    "ForwardFlops",
    "Int4",
    "ModelConfig",
    "ParameterCount",
    "Quantization",
    "Yarn",
    "count_parameters",
    "forward_flops",
    "head_flops",
    "layer_flops",
    "layer_of",
    "layer_parameters",
    "newton_schulz_flops",
    "text_name",
    "training_flops",
]
