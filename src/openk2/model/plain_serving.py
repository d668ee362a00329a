"""The layers of a model with plain weights over an `AttendingCache`: serving on any torch device.

The same network as `DecoderLayer.forward`, with few and large operations: a GPU waits for the host
to launch each. Attention is absorbed for prompts too, experts are grouped products, sums go into
the hidden states in place. Shapes never depend on what a tensor holds, so the host never waits for
the device. Gradients do not exist here, and neither does expert parallelism.

N tokens, H heads; see `attention` and `experts` for the modules' parts.
"""

from collections.abc import Iterable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.kernels import grouped_product
from openk2.model.attention import LatentAttention
from openk2.model.cache import AttendingCache
from openk2.model.experts import Experts, MixtureOfExperts, SwiGLU
from openk2.model.norm import RMSNorm
from openk2.model.routing import scores_of


class Layer(Protocol):
    """The parts of a `DecoderLayer`."""

    input_layernorm: RMSNorm
    self_attn: LatentAttention
    post_attention_layernorm: RMSNorm
    mlp: MixtureOfExperts | SwiGLU


@torch.no_grad()
def serve_layers(
    layers: Iterable[Layer], x: Tensor, rotation: tuple[Tensor, Tensor], cache: AttendingCache
) -> Tensor:
    """Hidden states [B, T, hidden] before the layers -> after them; x is overwritten.

    rotation: cos and sin, float32 [B, T, qk_rope_head_dim / 2] each.
    """
    rows = x.flatten(0, 1)
    cos, sin = (part.flatten(0, 1) for part in rotation)
    turns = rotation_matrices(cos, sin).to(x.dtype)
    numbers: Tensor | None = None
    for layer in layers:
        add_attention(layer.self_attn, layer.input_layernorm(rows), turns, cache, rows)
        normed = layer.post_attention_layernorm(rows)
        if isinstance(layer.mlp, MixtureOfExperts):
            if numbers is None:
                numbers = torch.arange(layer.mlp.experts.count, device=x.device)
            add_mixture(layer.mlp, normed, numbers, rows)
        else:
            add_swiglu(layer.mlp, normed, rows)
    return rows.view_as(x)


def rotation_matrices(cos: Tensor, sin: Tensor) -> Tensor:
    """cos, sin [N, n] -> [N, 2n, 2n]; x @ matrix is `rotate(x, cos, sin)`, in one product.

    Once a step for all layers, instead of the six operations of a rotation in each.
    """
    count, pairs = cos.shape
    matrices = cos.new_zeros(count, pairs, 2, pairs, 2)
    turn = torch.stack((cos, sin, -sin, cos), dim=1).unflatten(1, (2, 2))
    matrices.diagonal(dim1=1, dim2=3).copy_(turn)
    return matrices.view(count, 2 * pairs, 2 * pairs)


def add_attention(
    attention: LatentAttention, x: Tensor, turns: Tensor, cache: AttendingCache, total: Tensor
) -> None:
    """Add the attention of normalised x [N, hidden] to `total` [N, hidden]; store the latents.

    turns: [N, rope, rope] (see `rotation_matrices`).
    """
    config = attention.config
    heads, rank, nope = config.num_attention_heads, config.kv_lora_rank, config.qk_nope_head_dim
    up = attention.kv_b_proj.weight.view(heads, -1, rank)
    key_up, value_up = up.split([nope, config.v_head_dim], dim=1)

    q: Tensor = attention.query_up(attention.query_latent(x))
    q = q.unflatten(-1, (heads, config.qk_head_dim))
    query = q.new_empty(len(x), heads, config.latent_dim)
    # Products write where their result is needed: joining would copy it.
    torch.bmm(q[..., :nope].transpose(0, 1), key_up, out=query[..., :rank].transpose(0, 1))
    torch.bmm(q[..., nope:], turns, out=query[..., rank:])

    latents: Tensor = attention.kv_a_proj_with_mqa(x)
    shared = torch.bmm(latents[:, None, rank:], turns)
    latent = attention.kv_a_layernorm(latents[:, None, :rank])
    cache.store(attention.layer, torch.cat((latent, shared), dim=-1))

    mixed = cache.attend(attention.layer, query, config.softmax_scale, rank)
    values = q.new_empty(len(x), heads, config.v_head_dim)
    torch.bmm(mixed.transpose(0, 1), value_up.mT, out=values.transpose(0, 1))
    total.addmm_(values.flatten(1), attention.o_proj.weight.mT)


def add_mixture(mixture: MixtureOfExperts, x: Tensor, numbers: Tensor, total: Tensor) -> None:
    """Add routed and shared experts of normalised x [N, hidden] to `total` [N, hidden].

    numbers: int64 [E], 0 to E - 1.
    """
    router = mixture.gate
    weights, chosen = router.choose(scores_of(router_logits(x, router.weight), router.config))
    routed = chosen_experts(mixture.experts, x, chosen, numbers)
    # One product weighs a token's experts, sums them in float32 and adds them.
    factor = router.config.routed_scaling_factor
    total[:, None].baddbmm_(weights[:, None].to(x.dtype), routed, alpha=factor)
    if mixture.shared_experts is not None:
        add_swiglu(mixture.shared_experts, x, total)


def router_logits(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, hidden], weight [E, hidden] -> float32 [N, E], products not rounded."""
    if x.dtype == weight.dtype == torch.bfloat16 and not x.is_cpu:
        return torch.mm(x, weight.mT, out_dtype=torch.float32)  # which no CPU has
    return F.linear(x.float(), weight.float())


def chosen_experts(experts: Experts, x: Tensor, chosen: Tensor, numbers: Tensor) -> Tensor:
    """What each of a token's experts, chosen int64 [N, K], makes of x: [N, K, hidden], unweighed.

    numbers: as in `add_mixture`.
    """
    choices = chosen.shape[1]
    ordered, order = chosen.flatten().sort(stable=True)
    ends = torch.searchsorted(ordered, numbers, right=True, out_int32=True)
    rows = x.index_select(0, order // choices)
    gate = grouped_product(rows, experts.gate_proj, ends)
    up = grouped_product(rows, experts.up_proj, ends)
    down = grouped_product(F.silu(gate).mul_(up), experts.down_proj, ends)
    routed: Tensor = torch.empty_like(down).index_copy_(0, order, down)
    return routed.view(-1, choices, routed.shape[1])


def add_swiglu(mlp: SwiGLU, x: Tensor, total: Tensor) -> None:
    """Add the MLP of normalised x [N, hidden] to `total` [N, hidden]."""
    inner = F.silu(mlp.gate_proj(x)).mul_(mlp.up_proj(x))
    total.addmm_(inner, mlp.down_proj.weight.mT)
