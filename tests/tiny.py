"""The network shapes that several tests share: small enough for seconds, of every kind of layer."""

from dataclasses import replace

from openk2.architecture import ModelConfig, Yarn

TINY = ModelConfig(
    vocab_size=64,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    q_lora_rank=16,
    kv_lora_rank=24,
    qk_nope_head_dim=8,
    qk_rope_head_dim=4,
    v_head_dim=8,
    intermediate_size=48,
    moe_intermediate_size=16,
    n_routed_experts=4,
    num_experts_per_tok=2,
    initializer_range=0.2,
)

# Three layers and a vocabulary's ids: what a dry run plans for.
PLANNED = replace(
    TINY,
    num_hidden_layers=3,
    kv_lora_rank=8,
    initializer_range=0.02,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)

# As small as heads that copy leave room for: model/copying_start.py.
COPYING = ModelConfig(
    vocab_size=300,
    hidden_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    q_lora_rank=40,
    kv_lora_rank=80,
    qk_nope_head_dim=40,
    qk_rope_head_dim=32,
    v_head_dim=40,
    intermediate_size=64,
    moe_intermediate_size=32,
    n_routed_experts=4,
    num_experts_per_tok=2,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=2,
)

# What is compared with transformers: four heads, more experts, every width different.
COMPARED = ModelConfig(
    vocab_size=300,
    hidden_size=64,
    num_hidden_layers=3,
    num_attention_heads=4,
    q_lora_rank=32,
    kv_lora_rank=48,
    qk_nope_head_dim=16,
    qk_rope_head_dim=8,
    v_head_dim=24,
    intermediate_size=96,
    moe_intermediate_size=40,
    n_routed_experts=8,
    num_experts_per_tok=3,
    max_position_embeddings=2048,
    initializer_range=0.1,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=3,
)

# One layer's attention, every width different, so that no two can stand for each other.
ATTENTION = ModelConfig(
    hidden_size=16,
    num_attention_heads=2,
    num_hidden_layers=1,
    q_lora_rank=8,
    kv_lora_rank=12,
    qk_nope_head_dim=6,
    qk_rope_head_dim=4,
    v_head_dim=5,
)

YARN = Yarn(40.0, 64, beta_fast=32, beta_slow=1, mscale=0.707, mscale_all_dim=0.707)
# The networks of the family beside K2's: every switch of config.json in one of them at least.
KINDS = {
    "Moonlight": replace(
        COMPARED, q_lora_rank=None, n_shared_experts=2, routed_scaling_factor=2.446
    ),
    "DeepSeek-V3": replace(
        COMPARED,
        n_routed_experts=16,
        n_group=4,
        topk_group=2,
        routed_scaling_factor=2.5,
        rope_scaling=replace(YARN, mscale=1.0, mscale_all_dim=1.0),
    ),
    "groups without normalisation": replace(
        COMPARED,
        n_routed_experts=12,
        n_group=3,
        topk_group=1,
        norm_topk_prob=False,
        first_k_dense_replace=0,
        tie_word_embeddings=True,
    ),
    "every second layer dense": replace(COMPARED, num_hidden_layers=4, moe_layer_freq=2),
    "DeepSeek-V2-Lite": replace(
        COMPARED,
        q_lora_rank=None,
        n_shared_experts=2,
        scoring_func="softmax",
        topk_method="greedy",
        norm_topk_prob=False,
        routed_scaling_factor=1.0,
        rope_scaling=YARN,
    ),
    "DeepSeek-V2": replace(
        COMPARED,
        n_group=4,
        topk_group=3,
        scoring_func="softmax",
        topk_method="group_limited_greedy",
        norm_topk_prob=False,
        routed_scaling_factor=16.0,
    ),
}
