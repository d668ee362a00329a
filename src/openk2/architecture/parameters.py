"""How many parameters a shape has, by arithmetic alone (report section 2.3, table 2)."""

from dataclasses import dataclass

from openk2.architecture.config import ModelConfig


@dataclass(frozen=True)
class ParameterCount:
    """Parameters of a shape, norms, router and router bias counted.

    total: all. active: those that one token meets, the input embedding's table among them, as the
    report counts. active_without_embedding: a token reads one row of the table, so this is the
    count that multiplications follow.
    """

    total: int
    active: int
    active_without_embedding: int


def count_parameters(config: ModelConfig) -> ParameterCount:
    """Exact counts. K2: 1,026,408,232,448 in all, 32,861,500,928 active (report: 1.04T, 32.6B)."""
    embedding = config.vocab_size * config.hidden_size
    ends = 2 * embedding + config.hidden_size
    total = active = ends
    for layer in range(config.num_hidden_layers):
        shared = attention_parameters(config) + 2 * config.hidden_size
        if config.is_moe(layer):
            expert = 3 * config.hidden_size * config.moe_intermediate_size
            router = config.n_routed_experts * (config.hidden_size + 1)
            shared += router + config.n_shared_experts * expert
            total += shared + config.n_routed_experts * expert
            active += shared + config.num_experts_per_tok * expert
        else:
            dense = shared + 3 * config.hidden_size * config.intermediate_size
            total += dense
            active += dense
    return ParameterCount(total, active, active - embedding)


def attention_parameters(config: ModelConfig) -> int:
    """One layer's latent attention with its two norms."""
    heads = config.num_attention_heads
    query = config.q_lora_rank * (config.hidden_size + 1 + heads * config.qk_head_dim)
    key_value = config.hidden_size * config.latent_dim + config.kv_lora_rank * (
        1 + heads * (config.qk_nope_head_dim + config.v_head_dim)
    )
    return query + key_value + heads * config.v_head_dim * config.hidden_size
