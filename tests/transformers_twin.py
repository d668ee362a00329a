"""A network with our weights in transformers, an independent implementation, for parity tests."""

import torch
from torch import Tensor
from transformers import (
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    PreTrainedModel,
)
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3MLP

from openk2.architecture import ModelConfig
from openk2.model import Experts, K2Model, MixtureOfExperts


def twin_of(model: K2Model) -> PreTrainedModel:
    """The same weights in transformers, whose stacks fuse gate and up."""
    config = model.config
    data = config.to_dict()
    if config.has_router_bias:
        twin = DeepseekV3ForCausalLM(DeepseekV3Config(**data | {"model_type": "deepseek_v3"}))
    else:
        twin = DeepseekV2ForCausalLM(DeepseekV2Config(**data))
    for number, layer in enumerate(twin.model.layers):
        if number >= config.first_k_dense_replace and not config.is_moe(number):
            layer.mlp = DeepseekV3MLP(twin.config)  # transformers does not read moe_layer_freq
    twin.load_state_dict(fused(model, dict(model.state_dict())))
    for layer in twin.model.layers:
        # transformers leaves these two norms at its default eps of 1e-6 whatever the config says;
        # vLLM and SGLang read the config, as we do (docs/design/config.md).
        if config.q_lora_rank is not None:
            layer.self_attn.q_a_layernorm.variance_epsilon = config.rms_norm_eps
        layer.self_attn.kv_a_layernorm.variance_epsilon = config.rms_norm_eps
    return twin.eval()


def fused(model: K2Model, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our named tensors under transformers' names."""
    for prefix, module in model.named_modules():
        if isinstance(module, Experts):
            gate, up = tensors.pop(f"{prefix}.gate_proj"), tensors.pop(f"{prefix}.up_proj")
            tensors[f"{prefix}.gate_up_proj"] = torch.cat((gate, up), dim=1)
    return tensors


def split(model: K2Model, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """transformers' named tensors under ours."""
    for prefix, module in model.named_modules():
        if isinstance(module, Experts):
            both = tensors.pop(f"{prefix}.gate_up_proj")
            gate, up = both.chunk(2, dim=1)
            tensors |= {f"{prefix}.gate_proj": gate, f"{prefix}.up_proj": up}
    return tensors


def random_model(config: ModelConfig, seed: int) -> K2Model:
    """Random weights whose norms and router biases are no identities."""
    model = K2Model(config).initialize(seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for layer in model.decoder_layers:
        bias = (
            layer.mlp.gate.e_score_correction_bias
            if isinstance(layer.mlp, MixtureOfExperts)
            else None
        )
        if bias is not None:
            bias.normal_(0, 0.2, generator=generator)
    for name, parameter in model.named_parameters():
        if "norm" in name:
            parameter.data.normal_(1.0, 0.2, generator=generator)
    return model
