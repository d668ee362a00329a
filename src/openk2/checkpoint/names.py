"""Published tensors <-> the model's parameters, and how each is stored. The one place.

A parameter's name in `K2Model` is the published name, except for the routed experts: published one
matrix an expert, in memory one stack a layer. Everything here follows from the config alone.

A published file may hold more than the text network: a vision tower, layers that predict further
tokens, frequencies that follow from the config. Those are skipped by name (`skipped_kind`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from openk2.architecture import Int4, ModelConfig, Quantization, layer_of
from openk2.checkpoint.safetensors_file import TensorSpec

PLAIN_DTYPES = ("BF16", "F32", "F16")
SCALE_SUFFIX = "_scale_inv"  # of block-fp8, after the weight's name
# of int4, after the weight's name:
PACKED_SUFFIX, INT4_SCALE_SUFFIX, SHAPE_SUFFIX = "_packed", "_scale", "_shape"

VISION = re.compile(
    r"(model\.)?(vision_tower|vision_model|visual|mm_projector|multi_modal_projector)\."
)


@dataclass(frozen=True)
class PublishedTensor:
    """One published tensor.

    parameter: its name in the model's state dict; expert: its row there, for a routed expert.
    linear: a matrix that block fp8 quantizes: all but embedding, head, norms and router. Which of
        them int4 quantizes, its lists in config.json say.
    """

    name: str
    shape: tuple[int, ...]
    parameter: str
    expert: int | None = None
    linear: bool = False

    @property
    def is_router_bias(self) -> bool:
        """The router's bias stays float32 whatever the dtype of the weights."""
        return self.name.endswith("e_score_correction_bias")

    def of(self, state: Mapping[str, Tensor]) -> Tensor:
        """This tensor's own memory in a model's state dict, in its `shape`.

        state: parameters by name. Of a stack of experts [experts, out, in] it is one expert's part.
        """
        parameter = state[self.parameter]
        return parameter if self.expert is None else parameter[self.expert]

    def stored_as(self, quantization: Quantization | None) -> Quantization | None:
        """How this tensor is quantized where the checkpoint is; None if it is stored plain."""
        if isinstance(quantization, Int4):
            linear = self.linear or self.name == "lm_head.weight"
            module = self.name.removesuffix(".weight")
            return quantization if linear and quantization.covers(module) else None
        return quantization if self.linear else None

    def stays_stored(self, quantization: Quantization | None) -> bool:
        """Whether a packed model can hold this tensor as such a checkpoint stores it: all that is
        quantized, but for kv_b_proj (see `LatentAttention.pack`)."""
        dequantized = self.name.endswith(".kv_b_proj.weight")
        return self.stored_as(quantization) is not None and not dequantized

    def specs(self, quantization: Quantization | None, dtype: str) -> list[TensorSpec]:
        """What a file holds of it: quantized as `quantization` says, else plain in `dtype`."""
        form = self.stored_as(quantization)
        if form is None:
            return [TensorSpec(self.name, "F32" if self.is_router_bias else dtype, self.shape)]
        height, width = self.shape
        if isinstance(form, Int4):
            return [
                TensorSpec(self.name + PACKED_SUFFIX, "I32", (height, -(-width // 8))),
                TensorSpec(
                    self.name + INT4_SCALE_SUFFIX, "BF16", (height, -(-width // form.group))
                ),
                TensorSpec(self.name + SHAPE_SUFFIX, "I32", (2,)),
            ]
        scales = tuple(-(-size // step) for size, step in zip(self.shape, form, strict=True))
        return [
            TensorSpec(self.name, "F8_E4M3", self.shape),
            TensorSpec(self.name + SCALE_SUFFIX, "F32", scales),
        ]


def skipped_kind(name: str, config: ModelConfig) -> str | None:
    """What kind of tensor is skipped, by its `text_name`; None for one that must be known."""
    if name.endswith("rotary_emb.inv_freq"):
        return "rotary frequencies"  # older conversions stored them
    if VISION.match(name):
        return "vision"
    if config.tie_word_embeddings and name == "lm_head.weight":
        return "tied head"
    layer = layer_of(name)
    last = config.num_hidden_layers + config.num_nextn_predict_layers
    if layer is not None and config.num_hidden_layers <= layer < last:
        return "multi-token prediction"
    return None


def readable_dtypes(spec: TensorSpec, *, plain: bool) -> tuple[str, ...]:
    """The dtypes in which a file may hold what `PublishedTensor.specs` asks for.

    plain: the tensor is not quantized: any float serves. Writers differ in int4's shapes, int32 in
    K2-Thinking and int64 in compressed-tensors, and in its scales, which follow the weight's dtype.
    """
    if plain or spec.name.endswith("weight" + INT4_SCALE_SUFFIX):
        return PLAIN_DTYPES
    return ("I32", "I64") if spec.name.endswith(SHAPE_SUFFIX) else (spec.dtype,)


def published_tensors(config: ModelConfig) -> Iterator[PublishedTensor]:
    """Every tensor that a checkpoint of this config holds, in the order of the network."""
    yield _plain("model.embed_tokens.weight", config.vocab_size, config.hidden_size)
    for layer in range(config.num_hidden_layers):
        yield from _layer(config, layer, f"model.layers.{layer}.")
    yield _plain("model.norm.weight", config.hidden_size)
    if not config.tie_word_embeddings:
        yield _plain("lm_head.weight", config.vocab_size, config.hidden_size)


def _layer(config: ModelConfig, layer: int, prefix: str) -> Iterator[PublishedTensor]:
    hidden, heads = config.hidden_size, config.num_attention_heads
    latent, queries = config.kv_lora_rank, heads * config.qk_head_dim
    keys_values = heads * (config.qk_nope_head_dim + config.v_head_dim)
    attention = prefix + "self_attn."
    yield _plain(prefix + "input_layernorm.weight", hidden)
    if config.q_lora_rank is None:
        yield _linear(attention + "q_proj", queries, hidden)
    else:
        yield _linear(attention + "q_a_proj", config.q_lora_rank, hidden)
        yield _plain(attention + "q_a_layernorm.weight", config.q_lora_rank)
        yield _linear(attention + "q_b_proj", queries, config.q_lora_rank)
    yield _linear(attention + "kv_a_proj_with_mqa", config.latent_dim, hidden)
    yield _plain(attention + "kv_a_layernorm.weight", latent)
    yield _linear(attention + "kv_b_proj", keys_values, latent)
    yield _linear(attention + "o_proj", hidden, heads * config.v_head_dim)
    yield _plain(prefix + "post_attention_layernorm.weight", hidden)
    if not config.is_moe(layer):
        yield from _swiglu(prefix + "mlp.", hidden, config.intermediate_size)
        return
    yield _plain(prefix + "mlp.gate.weight", config.n_routed_experts, hidden)
    if config.has_router_bias:
        yield _plain(prefix + "mlp.gate.e_score_correction_bias", config.n_routed_experts)
    for expert in range(config.n_routed_experts):
        yield from _expert(prefix + "mlp.experts.", expert, hidden, config.moe_intermediate_size)
    inner = config.moe_intermediate_size * config.n_shared_experts
    if inner:
        yield from _swiglu(prefix + "mlp.shared_experts.", hidden, inner)


def _swiglu(prefix: str, hidden: int, inner: int) -> Iterator[PublishedTensor]:
    yield _linear(prefix + "gate_proj", inner, hidden)
    yield _linear(prefix + "up_proj", inner, hidden)
    yield _linear(prefix + "down_proj", hidden, inner)


def _expert(prefix: str, expert: int, hidden: int, inner: int) -> Iterator[PublishedTensor]:
    for matrix in _swiglu("", hidden, inner):
        stack = matrix.name.removesuffix(".weight")
        yield PublishedTensor(
            f"{prefix}{expert}.{matrix.name}", matrix.shape, prefix + stack, expert, linear=True
        )


def _plain(name: str, *shape: int) -> PublishedTensor:
    return PublishedTensor(name, shape, name)


def _linear(prefix: str, *shape: int) -> PublishedTensor:
    return PublishedTensor(f"{prefix}.weight", shape, f"{prefix}.weight", linear=True)
