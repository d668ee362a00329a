"""A packed model's layers as one `PackedStack`, which serves on a CPU in one native call a step.

`through_layers` is its plain twin, and computes the networks that a stack does not hold.
"""

from collections.abc import Sequence

import torch

from openk2.kernels import (
    PackedExperts,
    PackedLayer,
    PackedLinear,
    PackedRouter,
    PackedStack,
    native,
)
from openk2.model.experts import MixtureOfExperts, Router, SwiGLU
from openk2.model.linear import Linear
from openk2.model.plain_serving import Layer


def stack_of(layers: Sequence[Layer]) -> PackedStack | None:
    """The layers of a packed model for one call; None where that cannot be.

    It needs the native library, experts in memory, and a router of sigmoid scores in one group.
    """
    if not native.available():
        return None
    parts = [packed_layer(layer) for layer in layers]
    whole = [part for part in parts if part is not None]
    return PackedStack(whole) if whole and len(whole) == len(parts) else None


def packed_layer(layer: Layer) -> PackedLayer | None:
    """A packed layer's parts; None for one that a stack does not hold."""
    attention, mlp = layer.self_attn, layer.mlp
    if attention.packed is None:
        return None
    router: PackedRouter | None = None
    routed: PackedExperts | None = None
    dense: SwiGLU | None
    if isinstance(mlp, MixtureOfExperts):
        router, dense = packed_router(mlp.gate), mlp.shared_experts
        if router is None or not isinstance(mlp.experts.packed, PackedExperts):
            return None
        routed = mlp.experts.packed
    else:
        dense = mlp
    key_up, value_up = attention.packed
    direct = attention.q_a_proj is None
    return PackedLayer(
        input_norm=layer.input_layernorm.weight.detach(),
        query_norm=None if direct else attention.q_a_layernorm.weight.detach(),
        latent_norm=attention.kv_a_layernorm.weight.detach(),
        output_norm=layer.post_attention_layernorm.weight.detach(),
        query_down=None if attention.q_a_proj is None else packed(attention.q_a_proj),
        query_up=packed(attention.query_up),
        latent_down=packed(attention.kv_a_proj_with_mqa),
        key_up=key_up,
        value_up=value_up,
        output=packed(attention.o_proj),
        router=router,
        routed=routed,
        shared=None if dense is None else dense.packed,
        scale=attention.config.softmax_scale,
        eps=layer.input_layernorm.eps,
    )


def packed_router(gate: Router) -> PackedRouter | None:
    """The router as `route` takes it; None for one that chooses in another way."""
    config = gate.config
    if gate.packed is None or config.scoring_func != "sigmoid" or config.limits_groups:
        return None
    bias = gate.e_score_correction_bias
    return PackedRouter(
        gate.packed,
        torch.zeros(config.n_routed_experts) if bias is None else bias.float().contiguous(),
        config.num_experts_per_tok,
        config.norm_topk_prob,
        config.routed_scaling_factor,
    )


def packed(linear: Linear) -> PackedLinear:
    """What a packed linear layer computes with."""
    assert linear.packed is not None
    return linear.packed
