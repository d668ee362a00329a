"""Which network a config.json describes: its text network, and what openk2 refuses by name.

A field is refused only if its value changes the arithmetic in a way that is not computed here.
Fields that change nothing at inference (`pretraining_tp`, `ep_size`, `attention_dropout`) pass.
"""

from typing import Any

from openk2.architecture.error import ConfigError, read_object

# The text networks that are computed, with the router that each means where the file is silent.
ROUTERS: dict[str, dict[str, str]] = {
    "kimi_k2": {"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "deepseek_v3": {"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "deepseek_v2": {"scoring_func": "softmax", "topk_method": "greedy"},
}

OTHER_NETWORKS = {
    "kimi_k3": "Kimi K3 is another network (linear attention, 896 latent experts, MXFP4)",
    "kimi_linear": "Kimi Linear is another network (linear attention)",
    "deepseek_v32": "DeepSeek-V3.2 is another network (sparse attention with an indexer)",
    "deepseek_v4": "DeepSeek-V4 is another network (compressed sparse attention)",
}

# Values that are computed; any other value of these fields is an error.
ONLY: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "rope_interleave": (True, None),
}

# Fields of networks built on this one. Absent, null, false, 0 and empty mean that it is this one.
FOREIGN = (
    *("linear_attn_config", "mla_use_nope", "mla_use_output_gate", "index_topk", "sliding_window"),
    *("swiglu_limit", "qk_layernorm", "use_qk_norm", "compress_ratios", "hc_mult"),
    *("routed_expert_hidden_size", "attn_res_block_size"),
)


def text_network(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of the text network: `data`, or its `text_config` with the outer token ids.

    K2.5, K2.6 and K2.7 publish the network as the `text_config` of a model with a vision tower.
    Raises ConfigError for a network that openk2 does not compute.
    """
    refuse_other_networks(data)
    inner = read_object(data, "text_config")
    if not inner:
        return dict(data)
    refuse_other_networks(inner)
    tied = {each["tie_word_embeddings"] for each in (data, inner) if "tie_word_embeddings" in each}
    if len(tied) > 1:
        raise ConfigError(
            "tie_word_embeddings differs between config.json and its text_config: make them equal"
        )
    outer = ("bos_token_id", "eos_token_id", "pad_token_id", "quantization_config", "dtype")
    return {name: data[name] for name in outer if name in data} | inner


def refuse_other_networks(data: dict[str, Any]) -> None:
    """Raise ConfigError if `model_type` names a network known to be another."""
    kind = data.get("model_type")
    if isinstance(kind, str) and kind in OTHER_NETWORKS:
        raise ConfigError(
            f"model_type is {kind!r}: {OTHER_NETWORKS[kind]}; openk2 computes "
            f"{', '.join(ROUTERS)}: serve it with an engine that knows it"
        )


def refuse_other_arithmetic(data: dict[str, Any]) -> None:
    """Raise ConfigError naming a field whose value would be computed wrongly."""
    kind = data.get("model_type")
    if kind is not None and kind not in ROUTERS:
        raise ConfigError(f"model_type is {kind!r}; openk2 computes only {', '.join(ROUTERS)}")
    for name, allowed in ONLY.items():
        if name in data and data[name] not in allowed:
            raise ConfigError(f"{name} is {data[name]!r}; openk2 computes only {allowed[0]!r}")
    for name in FOREIGN:
        if data.get(name):
            raise ConfigError(f"{name} is {data[name]!r}: openk2 computes a network without it")
    heads = data.get("num_attention_heads")
    if data.get("num_key_value_heads") not in (None, heads):
        raise ConfigError(
            f"num_key_value_heads is {data['num_key_value_heads']!r}; MLA needs it equal to "
            f"num_attention_heads {heads!r}"
        )
