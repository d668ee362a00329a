"""Floating-point operations of attention's two ways, from the config alone (report section 2.3).

As `architecture` counts: a multiplication and an addition are two, and softmax is left out.
"""

from openk2.architecture import ModelConfig


def attention_flops(config: ModelConfig, keys: float) -> float:
    """Of one token's queries over `keys` keys in all layers, keys and values expanded."""
    widths = config.qk_head_dim + config.v_head_dim
    return 2.0 * config.num_hidden_layers * config.num_attention_heads * widths * keys


def absorbed_attention_flops(config: ModelConfig, keys: float) -> float:
    """The same over latents, as decoding computes it: fewer bytes, more operations."""
    widths = config.latent_dim + config.kv_lora_rank
    return 2.0 * config.num_hidden_layers * config.num_attention_heads * widths * keys
