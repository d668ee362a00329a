"""The shapes that the benchmarks run, with K2's head geometry."""

from openk2.architecture import ModelConfig

K2_HEADS = {
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
SHAPES = {
    "nano": ModelConfig(
        **K2_HEADS,
        vocab_size=4096,
        hidden_size=256,
        num_hidden_layers=5,
        num_attention_heads=2,
        q_lora_rank=128,
        intermediate_size=768,
        moe_intermediate_size=192,
        n_routed_experts=16,
        num_experts_per_tok=2,
    ),
    "small": ModelConfig(
        **K2_HEADS,
        vocab_size=32768,
        hidden_size=1024,
        num_hidden_layers=16,
        num_attention_heads=8,
        q_lora_rank=384,
        intermediate_size=4096,
        moe_intermediate_size=512,
        n_routed_experts=64,
        num_experts_per_tok=6,
    ),
    # Moonlight-16B-A3B: queries come from the hidden state by one matrix.
    "moonlight": ModelConfig(
        **{**K2_HEADS, "max_position_embeddings": 8192},
        vocab_size=163840,
        hidden_size=2048,
        num_hidden_layers=27,
        num_attention_heads=16,
        q_lora_rank=None,
        intermediate_size=11264,
        moe_intermediate_size=1408,
        n_routed_experts=64,
        num_experts_per_tok=6,
        n_shared_experts=2,
    ),
}
