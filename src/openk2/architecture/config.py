"""`ModelConfig`: the published config.json, read strictly and written back.

Everything that changes the mathematics is read from here and nowhere else: eps, YaRN, the softmax
scale, the router, stop ids. A field whose value this implementation would compute wrongly is
refused by name (`network.py`). Report section 2.3; field values of the published models are in
docs/design/config.md.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openk2.architecture.error import (
    ConfigError,
    read_object,
    require_flag,
    require_number,
    require_one_of,
    require_whole,
)
from openk2.architecture.network import ROUTERS, refuse_other_arithmetic, text_network
from openk2.architecture.quantization import Quantization, quantization_config, read_quantization
from openk2.architecture.rope import Yarn, read_rope

# What a config.json must say, since another value would be another network. Sizes are 1 or more.
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "intermediate_size",
    "moe_intermediate_size",
    "n_routed_experts",
    "num_experts_per_tok",
    "max_position_embeddings",
)
# Ids that no arithmetic needs: null where a checkpoint has none.
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
POSITIVE = ("routed_scaling_factor", "rms_norm_eps", "rope_theta", "initializer_range")
REQUIRED = (*SIZES, "first_k_dense_replace", "norm_topk_prob", *POSITIVE[:3])
# They must be there; null says that there is none of it.
STATED = ("q_lora_rank", "n_shared_experts")
GROUPS = ("n_group", "topk_group")
# What null, or their absence, means in these fields.
NULLS: dict[str, Any] = {
    "n_shared_experts": 0,
    "n_group": 1,
    "topk_group": 1,
    "moe_layer_freq": 1,
    "num_nextn_predict_layers": 0,
    "tie_word_embeddings": False,
    "initializer_range": 0.02,
}
SCORES = ("sigmoid", "softmax")
TOPK_METHODS = ("noaux_tc", "greedy", "group_limited_greedy")


@dataclass(frozen=True)
class ModelConfig:
    """A network of the DeepSeek-V3 kind, as K2's is. Field names are config.json's; defaults are
    the published 0711 values.

    q_lora_rank: None: queries come from the hidden state by one matrix, `q_proj`.
    n_group, topk_group: experts stand in groups, of which a token's choices may use the best few.
    topk_method: "noaux_tc": a correction bias takes part in choosing, and a group counts its two
        best. "greedy" (DeepSeek-V2-Lite): the highest scores. "group_limited_greedy" (V2): the
        highest in the groups with the highest maximum.
    num_nextn_predict_layers: multi-token-prediction layers that follow the network in a published
        file. They are neither built nor read.
    quantization: how linears are stored: the `weight_block_size` of block-fp8, an `Int4`, or None
        for plain weights.
    eos_token_id: the first of several; all of them end an answer (`chat.stop_ids`).
    """

    vocab_size: int = 163840
    hidden_size: int = 7168
    num_hidden_layers: int = 61
    num_attention_heads: int = 64
    q_lora_rank: int | None = 1536
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    intermediate_size: int = 18432
    moe_intermediate_size: int = 2048
    n_routed_experts: int = 384
    n_shared_experts: int = 1
    num_experts_per_tok: int = 8
    n_group: int = 1
    topk_group: int = 1
    scoring_func: str = "sigmoid"
    topk_method: str = "noaux_tc"
    first_k_dense_replace: int = 1
    moe_layer_freq: int = 1
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 2.827
    aux_loss_alpha: float = 0.001
    rms_norm_eps: float = 1e-6
    rope_theta: float = 50000.0
    rope_scaling: Yarn | None = None
    max_position_embeddings: int = 131072
    tie_word_embeddings: bool = False
    num_nextn_predict_layers: int = 0
    initializer_range: float = 0.02
    bos_token_id: int | None = 163584
    eos_token_id: int | None = 163585
    pad_token_id: int | None = 163839
    quantization: Quantization | None = None
    unread: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in SIZES:
            require_whole(name, getattr(self, name), least=1)
        if self.q_lora_rank is not None:
            require_whole("q_lora_rank", self.q_lora_rank, least=1)
        for name in ("first_k_dense_replace", "n_shared_experts", "num_nextn_predict_layers"):
            require_whole(name, getattr(self, name), least=0)
        require_whole("moe_layer_freq", self.moe_layer_freq, least=1)
        for name in TOKEN_IDS:
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), least=0)
        for name in POSITIVE:
            require_number(name, getattr(self, name), above=0)
        for name in ("norm_topk_prob", "tie_word_embeddings"):
            require_flag(name, getattr(self, name))
        if self.qk_rope_head_dim % 2:
            raise ConfigError(f"qk_rope_head_dim is {self.qk_rope_head_dim}: it must be even")
        self._check_router()

    def _check_router(self) -> None:
        """Raise ConfigError if the choice of experts cannot be made."""
        require_one_of("scoring_func", self.scoring_func, SCORES)
        require_one_of("topk_method", self.topk_method, TOPK_METHODS)
        require_whole("n_group", self.n_group, least=1)
        require_whole("topk_group", self.topk_group, least=1)
        size, rest = divmod(self.n_routed_experts, self.n_group)
        if rest:
            raise ConfigError(
                f"n_group is {self.n_group}, which does not divide n_routed_experts "
                f"{self.n_routed_experts}"
            )
        if self.topk_group > self.n_group:
            raise ConfigError(f"topk_group is {self.topk_group}, more than n_group {self.n_group}")
        if self.limits_groups and self.topk_method == "noaux_tc" and size < 2:
            raise ConfigError(
                f"n_group is {self.n_group}: groups of one expert have no two best ones to count"
            )
        eligible = size * self.topk_group if self.limits_groups else self.n_routed_experts
        if self.num_experts_per_tok > eligible:
            raise ConfigError(
                f"num_experts_per_tok is {self.num_experts_per_tok}, more than the {eligible} of "
                f"n_routed_experts {self.n_routed_experts} that a token may choose from"
            )
        scaled = self.norm_topk_prob and self.routed_scaling_factor != 1
        if scaled and self.topk_method != "noaux_tc":
            raise ConfigError(
                f"norm_topk_prob is true beside routed_scaling_factor {self.routed_scaling_factor} "
                f"and topk_method {self.topk_method!r}, where DeepSeek-V2 leaves the factor out: "
                "set routed_scaling_factor to 1"
            )

    @property
    def limits_groups(self) -> bool:
        """Whether a token's choices are limited to some groups of experts."""
        return self.topk_method != "greedy" and self.topk_group < self.n_group

    @property
    def has_router_bias(self) -> bool:
        """Whether routers have a correction bias, which the balance rule moves."""
        return self.topk_method == "noaux_tc"

    @property
    def qk_head_dim(self) -> int:
        """Width of a query or key head: the part without position plus the rotary part."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_dim(self) -> int:
        """Values cached per token and layer: the key-value latent plus the shared rope key."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def softmax_scale(self) -> float:
        """1/sqrt(qk_head_dim), times YaRN's attention factor squared if mscale_all_dim is set."""
        scale: float = self.qk_head_dim**-0.5
        if self.rope_scaling is not None and self.rope_scaling.mscale_all_dim:
            scale *= self.rope_scaling.attention_factor(self.rope_scaling.mscale_all_dim) ** 2
        return scale

    def is_moe(self, layer: int) -> bool:
        """Whether this layer's MLP is a mixture of experts.

        The first `first_k_dense_replace` layers are dense, and after them all but every
        `moe_layer_freq`-th, counted from layer 0.
        """
        return layer >= self.first_k_dense_replace and layer % self.moe_layer_freq == 0

    @classmethod
    def read(cls, path: Path) -> "ModelConfig":
        """Read a config.json (or the folder that holds one). Raises ConfigError."""
        file = path / "config.json" if path.is_dir() else path
        if not file.exists():
            raise ConfigError(f"{file} does not exist: a checkpoint folder needs a config.json")
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file} is not valid JSON: {error}") from error
        if not isinstance(data, dict):
            raise ConfigError(f"{file} holds a {type(data).__name__}, not a JSON object")
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ModelConfig":
        """Build from the parsed config.json. Raises ConfigError naming a field it cannot honour."""
        try:
            return cls._from_text(text_network(data))
        except ConfigError as error:
            raise ConfigError(f"config.json: {error}") from error

    @classmethod
    def _from_text(cls, data: dict[str, Any]) -> "ModelConfig":
        """Build from the fields of the text network, which are used up; the rest is `unread`."""
        refuse_other_arithmetic(data)
        theta, yarn = read_rope(data)
        quantization = read_quantization(read_object(data, "quantization_config"))
        for name in ("rope_parameters", "rope_scaling", "rope_theta", "quantization_config"):
            data.pop(name, None)
        known = set(cls.__dataclass_fields__) - {"unread", "quantization"}
        values = {name: data.pop(name) for name in known if name in data}
        values |= {"rope_theta": theta, "rope_scaling": yarn, "quantization": quantization}
        for name in TOKEN_IDS:
            # Absent is none, as published code has it: K2's own lie beyond other vocabularies.
            given = values.setdefault(name, None)
            if isinstance(given, list) and given:
                values[name] = given[0]
        missing = [name for name in REQUIRED if values.get(name) is None]
        missing += [name for name in STATED if name not in values]
        # Where the file is silent, the published code of these networks means 8 groups.
        router = ROUTERS[data.get("model_type") or "deepseek_v3"]
        if router["topk_method"] == "noaux_tc":
            missing += [name for name in GROUPS if name not in values]
        if missing:
            raise ConfigError(f"{', '.join(missing)} missing or null")
        for name, meaning in {**NULLS, **router}.items():
            if values.get(name) is None:
                values[name] = meaning
        return cls(**values, unread=data)

    def to_dict(self) -> dict[str, Any]:
        """The published config.json layout."""
        data = asdict(self)
        unread = data.pop("unread")
        data.pop("quantization")
        data["rope_scaling"] = (
            None if self.rope_scaling is None else {"type": "yarn", **asdict(self.rope_scaling)}
        )
        data["num_nextn_predict_layers"] = 0  # such layers are neither read nor written
        second = not self.has_router_bias  # DeepSeek-V2's router, under V2's name
        fixed = {
            "architectures": ["DeepseekV2ForCausalLM" if second else "DeepseekV3ForCausalLM"],
            "model_type": "deepseek_v2" if second else "kimi_k2",
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "attention_bias": False,
            "attention_dropout": 0.0,
            "seq_aux": True,
            "use_cache": True,
            "torch_dtype": "bfloat16",
        }
        data = {**fixed, **data, **{k: v for k, v in unread.items() if k not in data}}
        if self.quantization is not None:
            data["quantization_config"] = quantization_config(self.quantization)
        return data
