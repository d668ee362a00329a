"""`ModelConfig`: the published config.json, read strictly and written back.

Everything that changes the mathematics is read from here and nowhere else: eps, YaRN, the softmax
scale, router bias and scaling, stop ids. A field whose value this implementation would compute
wrongly is refused by name. Report section 2.3; field values of the published models are in
docs/design/config.md.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from openk2.architecture.error import ConfigError, read_object, require_number, require_whole
from openk2.architecture.quantization import Quantization, quantization_config, read_quantization


@dataclass(frozen=True)
class Yarn:
    """YaRN parameters (arXiv 2309.00071) as `rope_scaling` publishes them."""

    factor: float
    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 0.0

    def __post_init__(self) -> None:
        positive = ("factor", "original_max_position_embeddings", "beta_fast", "beta_slow")
        for name in positive:
            require_number(f"rope_scaling.{name}", getattr(self, name), above=0)
        for name in ("mscale", "mscale_all_dim"):
            require_number(f"rope_scaling.{name}", getattr(self, name))
        if self.beta_fast < self.beta_slow:
            raise ConfigError(
                f"rope_scaling.beta_fast is {self.beta_fast}, below beta_slow {self.beta_slow}: "
                "a fast pair turns more often than a slow one"
            )

    def attention_factor(self, mscale: float) -> float:
        """0.1 * mscale * ln(factor) + 1 (1 when the context is not extended)."""
        return 1.0 if self.factor <= 1 else 0.1 * mscale * math.log(self.factor) + 1.0


# Values that this implementation computes; any other value of these fields is an error.
ONLY: dict[str, tuple[Any, ...]] = {
    "model_type": ("kimi_k2", "deepseek_v3"),
    "hidden_act": ("silu",),
    "scoring_func": ("sigmoid",),
    "topk_method": ("noaux_tc",),
    "moe_layer_freq": (1,),
    "n_group": (1,),
    "topk_group": (1,),
    "attention_bias": (False,),
    "tie_word_embeddings": (False,),
    "rope_interleave": (True,),
    "attention_dropout": (0, 0.0),
    "pretraining_tp": (1,),
    "ep_size": (1,),
}


# What a config.json must say, since another value would be another network. Sizes are 1 or more.
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "intermediate_size",
    "moe_intermediate_size",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "max_position_embeddings",
)
# Ids that no arithmetic needs: null where a checkpoint has none.
TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
POSITIVE = ("routed_scaling_factor", "rms_norm_eps", "rope_theta", "initializer_range")
REQUIRED = (*SIZES, "first_k_dense_replace", "norm_topk_prob", *POSITIVE[:3])


@dataclass(frozen=True)
class ModelConfig:
    """A K2-shaped network. Field names are config.json's; defaults are the published 0711 values.

    quantization: how linears are stored: the `weight_block_size` of block-fp8, an `Int4`, or None
        for plain weights.
    eos_token_id: the first of several; all of them end an answer (`pretrained.stop_ids`).
    """

    vocab_size: int = 163840
    hidden_size: int = 7168
    num_hidden_layers: int = 61
    num_attention_heads: int = 64
    q_lora_rank: int = 1536
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    intermediate_size: int = 18432
    moe_intermediate_size: int = 2048
    n_routed_experts: int = 384
    n_shared_experts: int = 1
    num_experts_per_tok: int = 8
    first_k_dense_replace: int = 1
    norm_topk_prob: bool = True
    routed_scaling_factor: float = 2.827
    aux_loss_alpha: float = 0.001
    rms_norm_eps: float = 1e-6
    rope_theta: float = 50000.0
    rope_scaling: Yarn | None = None
    max_position_embeddings: int = 131072
    initializer_range: float = 0.02
    bos_token_id: int | None = 163584
    eos_token_id: int | None = 163585
    pad_token_id: int | None = 163839
    quantization: Quantization | None = None
    unread: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for name in SIZES:
            require_whole(name, getattr(self, name), least=1)
        require_whole("first_k_dense_replace", self.first_k_dense_replace, least=0)
        for name in TOKEN_IDS:
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name), least=0)
        for name in POSITIVE:
            require_number(name, getattr(self, name), above=0)
        if type(self.norm_topk_prob) is not bool:
            raise ConfigError(
                f"norm_topk_prob is {self.norm_topk_prob!r}: it must be true or false"
            )
        if self.num_experts_per_tok > self.n_routed_experts:
            raise ConfigError(
                f"num_experts_per_tok is {self.num_experts_per_tok}, more than "
                f"n_routed_experts {self.n_routed_experts}"
            )
        if self.qk_rope_head_dim % 2:
            raise ConfigError(f"qk_rope_head_dim is {self.qk_rope_head_dim}: it must be even")

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
        """Whether this layer's MLP is a mixture of experts (the first k layers are dense)."""
        return layer >= self.first_k_dense_replace

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
        data = dict(data)
        for name, allowed in ONLY.items():
            if name in data and data[name] not in allowed:
                raise ConfigError(
                    f"config.json: {name} is {data[name]!r}; openk2 computes only "
                    + " or ".join(repr(value) for value in allowed)
                )
        heads = data.get("num_attention_heads")
        if data.get("num_key_value_heads", heads) != heads:
            raise ConfigError(
                f"config.json: num_key_value_heads is {data['num_key_value_heads']!r}; "
                f"MLA needs it equal to num_attention_heads {heads!r}"
            )
        known = {
            name for name in cls.__dataclass_fields__ if name not in ("unread", "quantization")
        }
        values = {name: data.pop(name) for name in known if name in data}
        # transformers 5 writes rope_parameters, rope_theta inside; the published files do not.
        try:
            rope, scaling = (
                read_object(data, "rope_parameters"),
                read_object(values, "rope_scaling"),
            )
        except ConfigError as error:
            raise ConfigError(f"config.json: {error}") from error
        if rope and scaling:
            raise ConfigError(
                "config.json: rope_parameters and rope_scaling are both set: keep one"
            )
        rope = rope or scaling
        data.pop("rope_parameters", None)
        if "rope_theta" in rope:
            values["rope_theta"] = rope["rope_theta"]
        values["rope_scaling"] = read_yarn(rope)
        try:
            values["quantization"] = read_quantization(read_object(data, "quantization_config"))
        except ConfigError as error:
            raise ConfigError(f"config.json: {error}") from error
        data.pop("quantization_config", None)
        for name in TOKEN_IDS:
            if isinstance(values.get(name), list) and values[name]:
                values[name] = values[name][0]
        missing = [name for name in REQUIRED if values.get(name) is None]
        if missing:
            raise ConfigError(f"config.json: {', '.join(missing)} missing or null")
        try:
            return cls(**values, unread=data)
        except ConfigError as error:
            raise ConfigError(f"config.json: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The published config.json layout."""
        data = asdict(self)
        unread = data.pop("unread")
        data.pop("quantization")
        data["rope_scaling"] = (
            None if self.rope_scaling is None else {"type": "yarn", **asdict(self.rope_scaling)}
        )
        fixed = {
            "architectures": ["DeepseekV3ForCausalLM"],
            "model_type": "kimi_k2",
            "num_key_value_heads": self.num_attention_heads,
            "hidden_act": "silu",
            "scoring_func": "sigmoid",
            "topk_method": "noaux_tc",
            "moe_layer_freq": 1,
            "n_group": 1,
            "topk_group": 1,
            "attention_bias": False,
            "attention_dropout": 0.0,
            "tie_word_embeddings": False,
            "num_nextn_predict_layers": 0,  # such layers are neither read nor written
            "seq_aux": True,
            "use_cache": True,
            "torch_dtype": "bfloat16",
        }
        data = {**fixed, **data, **{k: v for k, v in unread.items() if k not in data}}
        if self.quantization is not None:
            data["quantization_config"] = quantization_config(self.quantization)
        return data


def read_yarn(rope: dict[str, Any]) -> Yarn | None:
    """`rope_scaling` as published: empty, or YaRN. Any other kind is refused."""
    settings = {name: value for name, value in rope.items() if value is not None}
    settings.pop("rope_theta", None)
    if settings.get("truncate") is True:  # whole pairs at the ends of the ramp, as computed here
        settings.pop("truncate")
    kinds = {settings.pop(name) for name in ("rope_type", "type") if name in settings}
    if not settings and kinds <= {"default"}:
        return None
    if kinds != {"yarn"}:
        named = " and ".join(sorted(map(repr, kinds))) or "missing"
        raise ConfigError(f"config.json: rope_scaling type is {named}; openk2 computes only 'yarn'")
    for name, value in settings.items():
        if name not in Yarn.__dataclass_fields__:
            raise ConfigError(
                f"config.json: rope_scaling.{name} is {value!r}; openk2 does not compute it"
            )
    for name in ("factor", "original_max_position_embeddings"):
        if name not in settings:
            raise ConfigError(f"config.json: rope_scaling lacks {name!r}")
    try:
        return Yarn(**settings)
    except ConfigError as error:
        raise ConfigError(f"config.json: {error}") from error
