"""What llama.cpp's `deepseek2` architecture wants of a network: names, pieces and numbers.

Facts of llama.cpp's own converter and loader: experts are stacked, `kv_b_proj` is split in what
makes keys and what makes values, with each head's key part transposed, and vectors and routers stay
float32. Knows no file: `gguf_file.py` writes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.checkpoint.error import CheckpointError
from openk2.checkpoint.names import PublishedTensor, published_tensors

OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
# After "model.layers.N." -> after "blk.N.".
INNER = {
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.q_a_proj.weight": "attn_q_a.weight",
    "self_attn.q_a_layernorm.weight": "attn_q_a_norm.weight",
    "self_attn.q_b_proj.weight": "attn_q_b.weight",
    "self_attn.kv_a_proj_with_mqa.weight": "attn_kv_a_mqa.weight",
    "self_attn.kv_a_layernorm.weight": "attn_kv_a_norm.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.gate.e_score_correction_bias": "exp_probs_b.bias",
    "mlp.experts.gate_proj": "ffn_gate_exps.weight",
    "mlp.experts.up_proj": "ffn_up_exps.weight",
    "mlp.experts.down_proj": "ffn_down_exps.weight",
    "mlp.shared_experts.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_experts.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_experts.down_proj.weight": "ffn_down_shexp.weight",
}
GATING = {"softmax": 1, "sigmoid": 2}
LITE_LAYERS = (26, 27)  # llama.cpp takes such a network to have no low-rank queries


@dataclass(frozen=True)
class GgufTensor:
    """A tensor of the file: `parts`, each as `shaped` makes it, one after the other.

    shape: of the whole, rows last but one. exact: kept in float32 whatever the file's type.
    """

    name: str
    shape: tuple[int, ...]
    parts: tuple[PublishedTensor, ...]
    exact: bool = False
    shaped: Callable[[Tensor], Tensor] = lambda tensor: tensor


def pieces(config: ModelConfig) -> Iterator[GgufTensor]:
    """Every tensor of the file, in the order of the network; of experts' stacks the first's place.

    Raises CheckpointError for a network that llama.cpp would read as another.
    """
    refuse_foreign(config)
    stacks: dict[str, list[PublishedTensor]] = {}
    for published in published_tensors(config):
        if published.expert is not None:
            stacks.setdefault(published.parameter, []).append(published)
            if len(stacks[published.parameter]) == config.n_routed_experts:
                parts = tuple(stacks.pop(published.parameter))
                shape = (len(parts), *published.shape)
                yield GgufTensor(_name(published.parameter), shape, parts)
        elif published.name.endswith("kv_b_proj.weight"):
            yield from _split(config, published)
        else:
            exact = len(published.shape) == 1 or published.name.endswith("mlp.gate.weight")
            yield GgufTensor(_name(published.name), published.shape, (published,), exact)


def _name(published: str) -> str:
    if published in OUTER:
        return OUTER[published]
    layer, _, inner = published.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{INNER[inner]}"


def _split(config: ModelConfig, published: PublishedTensor) -> Iterator[GgufTensor]:
    """kv_b [heads * (nope + value), rank] -> k_b [heads, rank, nope], v_b [heads, value, rank]."""
    heads, nope, rank = config.num_attention_heads, config.qk_nope_head_dim, config.kv_lora_rank
    prefix = f"blk.{published.name.split('.')[2]}."

    def keys(tensor: Tensor) -> Tensor:
        return tensor.view(heads, -1, rank)[:, :nope].transpose(1, 2).contiguous()

    def values(tensor: Tensor) -> Tensor:
        return tensor.view(heads, -1, rank)[:, nope:].contiguous()

    yield GgufTensor(prefix + "attn_k_b.weight", (heads, rank, nope), (published,), shaped=keys)
    shape = (heads, config.v_head_dim, rank)
    yield GgufTensor(prefix + "attn_v_b.weight", shape, (published,), shaped=values)


def refuse_foreign(config: ModelConfig) -> None:
    """Raise CheckpointError for a network that llama.cpp would compute differently."""
    yarn = config.rope_scaling
    if yarn is not None and yarn.mscale != yarn.mscale_all_dim:
        raise CheckpointError(
            f"rope_scaling.mscale is {yarn.mscale}, mscale_all_dim {yarn.mscale_all_dim}: "
            "llama.cpp computes equal ones only; serve it with openk2"
        )
    if config.num_hidden_layers in LITE_LAYERS and config.q_lora_rank is not None:
        raise CheckpointError(
            f"num_hidden_layers is {config.num_hidden_layers} and q_lora_rank "
            f"{config.q_lora_rank}: llama.cpp takes a network of so many layers to have no "
            "q_lora_rank; serve it with openk2"
        )


def flags(config: ModelConfig) -> list[str]:
    """What llama.cpp must be told on its command line: its `deepseek2` does not read these keys."""
    yarn = config.rope_scaling
    if yarn is None:
        return []
    found = [] if yarn.beta_fast == 32 else ["--yarn-beta-fast", f"{yarn.beta_fast:g}"]
    return found + ([] if yarn.beta_slow == 1 else ["--yarn-beta-slow", f"{yarn.beta_slow:g}"])


def numbers(config: ModelConfig) -> dict[str, Any]:
    """The file's `deepseek2.` keys. Attention is described as llama.cpp computes it: one key head.

    That head is the latent with the rotary key; `_mla` keys have the published head sizes.
    """
    data = config.to_dict()
    found: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": 1,
        "rope.freq_base": float(config.rope_theta),
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "expert_count": config.n_routed_experts,
        "expert_used_count": config.num_experts_per_tok,
        "expert_group_count": data["n_group"],
        "expert_group_used_count": data["topk_group"],
        "expert_gating_func": GATING[data["scoring_func"]],
        "leading_dense_block_count": config.first_k_dense_replace,
        "vocab_size": config.vocab_size,
        "attention.kv_lora_rank": config.kv_lora_rank,
        "attention.key_length": config.latent_dim,
        "attention.value_length": config.kv_lora_rank,
        "attention.key_length_mla": config.qk_head_dim,
        "attention.value_length_mla": config.v_head_dim,
        "expert_feed_forward_length": config.moe_intermediate_size,
        "expert_shared_count": config.n_shared_experts,
        "expert_weights_scale": float(config.routed_scaling_factor),
        "expert_weights_norm": config.norm_topk_prob,
        "rope.dimension_count": config.qk_rope_head_dim,
    }
    if config.q_lora_rank is not None:
        found["attention.q_lora_rank"] = config.q_lora_rank
    if (yarn := config.rope_scaling) is not None:
        found |= {
            "rope.scaling.type": "yarn",
            "rope.scaling.factor": float(yarn.factor),
            "rope.scaling.original_context_length": yarn.original_max_position_embeddings,
            "rope.scaling.yarn_beta_fast": float(yarn.beta_fast),
            "rope.scaling.yarn_beta_slow": float(yarn.beta_slow),
            # The loader of this architecture divides by 0.1.
            "rope.scaling.yarn_log_multiplier": 0.1 * yarn.mscale_all_dim,
        }
    return found
