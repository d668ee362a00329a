"""Shapes without tensors: the configuration and what it costs."""

from openk2.architecture.config import ConfigError, ModelConfig, Yarn
from openk2.architecture.parameters import ParameterCount, count_parameters

__all__ = ["ConfigError", "ModelConfig", "ParameterCount", "Yarn", "count_parameters"]
