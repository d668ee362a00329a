"""Floating-point operations of a shape, by arithmetic alone: 2 a multiply-add, products only.

Norms, softmax, rotations and gates are left out: they are bound by memory, not by arithmetic.
"""

from dataclasses import dataclass

from openk2.architecture.config import ModelConfig


@dataclass(frozen=True)
class ForwardFlops:
    """Of one token's forward pass through one layer, by what is computed.

    mla_up: the up-projections of query, key and value. down: the chosen experts' down projections.
    rest: all other matrices. attention: queries times keys and weights times values.
    """

    mla_up: float
    down: float
    rest: float
    attention: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.mla_up + self.down + self.rest + self.attention


def layer_flops(config: ModelConfig, layer: int, length: int) -> ForwardFlops:
    """One layer, a token on average, in documents of `length` tokens that see what is before them.

    Attention meets (length + 1) / 2 keys a query: what is masked is not counted.
    """
    hidden, heads = config.hidden_size, config.num_attention_heads
    query_down = 0 if config.q_lora_rank is None else config.q_lora_rank
    query_up = (query_down or hidden) * heads * config.qk_head_dim
    key_value_up = config.kv_lora_rank * heads * (config.qk_nope_head_dim + config.v_head_dim)
    other = hidden * (query_down + config.latent_dim + heads * config.v_head_dim)
    down = 0
    if config.is_moe(layer):
        expert = hidden * config.moe_intermediate_size
        down = config.num_experts_per_tok * expert
        other += 2 * down + 3 * config.n_shared_experts * expert + config.n_routed_experts * hidden
    else:
        other += 3 * hidden * config.intermediate_size
    pairs = (length + 1) / 2
    return ForwardFlops(
        mla_up=2.0 * (query_up + key_value_up),
        down=2.0 * down,
        rest=2.0 * other,
        attention=2.0 * pairs * heads * (config.qk_head_dim + config.v_head_dim),
    )


def head_flops(config: ModelConfig) -> float:
    """One token's forward pass through the head."""
    return 2.0 * config.hidden_size * config.vocab_size


def forward_flops(config: ModelConfig, length: int) -> float:
    """One token's forward pass through all layers and the head. length: see `layer_flops`."""
    layers = range(config.num_hidden_layers)
    return sum(layer_flops(config, layer, length).total for layer in layers) + head_flops(config)


def training_flops(config: ModelConfig, length: int) -> float:
    """One token's forward and backward pass, the backward counted as two forward passes.

    What MFU counts: recomputation is left out. length: see `layer_flops`.
    """
    return 3 * forward_flops(config, length)


def newton_schulz_flops(rows: int, columns: int, steps: int) -> float:
    """Of one matrix: a step is X X^T, its square, and their product with X."""
    short, long = sorted((rows, columns))
    return steps * 2.0 * (2 * short * short * long + short**3)
