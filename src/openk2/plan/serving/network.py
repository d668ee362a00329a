"""The sizes of a network that is to be served, from its config.json.

Read apart from `ModelConfig`: planning needs sizes only, so networks whose mathematics openk2 does
not compute (a vision tower in front, other routers) are planned too. What has no latent attention
or no routed experts, or attends sparsely, is refused: its cache and its layouts are other ones.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from openk2.plan.serving.error import ServingError

ACTIVATION_BYTES = 2  # bfloat16
# Fields of DeepSeek-V3.2's indexer, which has weights and a cache of its own, and of compression.
SPARSE = ("index_topk", "index_head_dim", "index_n_heads", "compress_ratios")


@dataclass(frozen=True)
class ServedNetwork:
    """Field names are config.json's. q_lora_rank: None where queries have no down-projection."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    intermediate_size: int
    moe_intermediate_size: int
    n_routed_experts: int
    n_shared_experts: int
    num_experts_per_tok: int
    first_k_dense_replace: int
    max_position_embeddings: int

    @property
    def qk_head_dim(self) -> int:
        """Width of a query or key head."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_dim(self) -> int:
        """Numbers cached a token and layer: the latent and the shared rotary key."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def moe_layers(self) -> int:
        """Layers with routed experts."""
        return self.num_hidden_layers - self.first_k_dense_replace

    @property
    def expert_parameters(self) -> int:
        """Parameters of one routed expert."""
        return 3 * self.hidden_size * self.moe_intermediate_size

    @property
    def attention_numbers(self) -> int:
        """Multiply-adds of attention's own products a token, layer and key, not absorbed."""
        return self.num_attention_heads * (self.qk_head_dim + self.v_head_dim)


def read_network(data: dict[str, Any]) -> ServedNetwork:
    """The network of a parsed config.json, or of its `text_config`. Raises ServingError."""
    text = data.get("text_config", data)
    kind = data.get("model_type")
    if not isinstance(text, dict):
        raise ServingError(f"config.json: text_config is {text!r}, not an object")
    if "kv_lora_rank" not in text or not text.get("n_routed_experts"):
        raise ServingError(
            f"config.json: model_type {kind!r} has no latent attention with routed experts "
            "(kv_lora_rank, n_routed_experts): the planner knows K2's and DeepSeek-V3's kind only"
        )
    if "linear_attn_config" in text:
        raise ServingError(
            f"config.json: model_type {kind!r} mixes linear attention with latent attention, "
            "whose state is no cache a token: the planner does not know it"
        )
    sparse = [name for name in SPARSE if text.get(name)]
    if sparse:
        raise ServingError(
            f"config.json: model_type {kind!r} has {sparse[0]} {text[sparse[0]]!r}: sparse or "
            "compressed attention, whose indexer and cache the planner does not know"
        )
    if text.get("moe_layer_freq") not in (None, 1):
        raise ServingError(
            f"config.json: moe_layer_freq is {text['moe_layer_freq']!r}: the planner expects 1, "
            "experts in every layer after the dense ones"
        )
    return ServedNetwork(
        **{field.name: size(text, field.name) for field in fields(ServedNetwork)}  # type: ignore[arg-type]
    )


def size(text: dict[str, Any], name: str) -> int | None:
    """A size of config.json: a whole number, or null for `q_lora_rank`. Raises ServingError."""
    value = text.get(name)
    if value is None and name in ("q_lora_rank", "n_shared_experts"):
        return None if name == "q_lora_rank" else 0
    least = 0 if name in ("first_k_dense_replace", "n_shared_experts") else 1
    if type(value) is not int or value < least:
        raise ServingError(
            f"config.json: {name} is {value!r}: it must be a whole number, {least} or more"
        )
    return value


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ServingError."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ServingError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise ServingError(f"{file} holds a {type(data).__name__}, not a JSON object")
    return data
