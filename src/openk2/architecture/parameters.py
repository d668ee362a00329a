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
    tables = 1 if config.tie_word_embeddings else 2
    total = active = tables * embedding + config.hidden_size
    for layer in range(config.num_hidden_layers):
        held, met = layer_parameters(config, layer)
        total += held
        active += met
    # A tied table is multiplied with as the head, so it is no part that is only looked up.
    looked_up = 0 if config.tie_word_embeddings else embedding
    return ParameterCount(total, active, active - looked_up)


def layer_parameters(config: ModelConfig, layer: int) -> tuple[int, int]:
    """All parameters of one layer, and those that one token meets."""
    shared = attention_parameters(config) + 2 * config.hidden_size
    if not config.is_moe(layer):
        dense = shared + 3 * config.hidden_size * config.intermediate_size
        return dense, dense
    expert = 3 * config.hidden_size * config.moe_intermediate_size
    router = config.hidden_size + (1 if config.has_router_bias else 0)
    shared += config.n_routed_experts * router + config.n_shared_experts * expert
    met = config.num_experts_per_tok * expert
    return shared + config.n_routed_experts * expert, shared + met


def attention_parameters(config: ModelConfig) -> int:
    """One layer's latent attention with its norms."""
    heads = config.num_attention_heads
    queries, rank = heads * config.qk_head_dim, config.q_lora_rank
    if rank is None:
        query = config.hidden_size * queries
    else:
        query = rank * (config.hidden_size + 1 + queries)
    key_value = config.hidden_size * config.latent_dim + config.kv_lora_rank * (
        1 + heads * (config.qk_nope_head_dim + config.v_head_dim)
    )
    return query + key_value + heads * config.v_head_dim * config.hidden_size
