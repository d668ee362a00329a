"""Floating-point operations of a network, from its config alone (report section 2.3).

A multiplication and an addition are two. Norms, rotations, softmax and routing's choice are left
out. `architecture.count_parameters` says which weights a token meets.
"""

from openk2.architecture import ModelConfig, count_parameters


def attention_flops(config: ModelConfig, keys: float) -> float:
    """Of one token's queries over `keys` keys in all layers, keys and values expanded."""
    widths = config.qk_head_dim + config.v_head_dim
    return 2.0 * config.num_hidden_layers * config.num_attention_heads * widths * keys


def absorbed_attention_flops(config: ModelConfig, keys: float) -> float:
    """The same over latents, as decoding computes it: fewer bytes, more operations."""
    widths = config.latent_dim + config.kv_lora_rank
    return 2.0 * config.num_hidden_layers * config.num_attention_heads * widths * keys


def forward_flops(config: ModelConfig, keys: float) -> float:
    """Of one token that sees `keys` keys, expanded."""
    weights = 2.0 * count_parameters(config).active_without_embedding
    return weights + attention_flops(config, keys)


def training_flops(config: ModelConfig, length: int) -> float:
    """Of one token in training, rows of `length`: the backward pass costs twice the forward."""
    return 3.0 * forward_flops(config, (length + 1) / 2)
