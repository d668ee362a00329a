"""The layers and the head that a plan measures, and the assumptions that replace values.

Fake tensors have no values, so a dispatch that sends every expert the same number of rows stands
for the real one, and every token is learned. A fused attention kernel can be assumed too.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from openk2.architecture import ModelConfig
from openk2.model import (
    SPAN_BLOCK,
    Arrived,
    DecoderLayer,
    Experts,
    Keeping,
    LayerContext,
    Linear,
    Observation,
    OwnKeys,
    RMSNorm,
    Span,
    Weigh,
    causal_mask,
    inverse_frequencies,
    permute,
    rotation,
    unmoved,
)

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True)
class Pass:
    """One forward pass: `rows` rows of `length` tokens, and how it is computed.

    parameters: dtype of the weights. products: of matrix products, None for the weights' own.
    expert: ranks that share a layer's experts. balance: see `Observation`. fused: plan with
    `FusedAttention` in place of the network's own.
    """

    rows: int
    length: int
    keeping: Keeping
    parameters: torch.dtype = torch.float32
    products: torch.dtype | None = torch.bfloat16
    expert: int = 1
    balance: float = 0.0
    fused: bool = False


class Assumed(TorchDispatchMode):
    """Answers what fake tensors cannot: which elements are non-zero, and how many.

    Everything is non-zero. Counts are zeros, which only a dispatch reads, and `Evenly` does not.
    """

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation or answer in its place."""
        if func is torch.ops.aten.bincount.default:
            values, _, minlength = args
            return values.new_zeros(minlength)
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_empty(args[0].numel(), args[0].ndim, dtype=torch.int64)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Evenly:
    """The `Dispatch` of experts that receive the same number of rows, here or on `ranks` ranks.

    As many rows come as leave; from several ranks they come rank by rank and are put in order.
    """

    experts: int
    ranks: int

    def __call__(self, rows: Tensor, counts: Tensor) -> Arrived:
        """See `Dispatch`."""
        total, held = len(rows), self.experts // self.ranks
        per_expert = [total // held + (e < total % held) for e in range(held)]
        if self.ranks == 1:
            return Arrived(rows, per_expert, along=unmoved, back=unmoved)
        order = torch.arange(total).argsort(stable=True)
        inverse = order.argsort()
        return Arrived(
            permute(rows, order, inverse),
            per_expert,
            along=lambda values: permute(values, order, inverse),
            back=lambda results: permute(results.to(rows.dtype), inverse, order),
        )


class FusedAttention(torch.autograd.Function):
    """What a fused attention kernel saves and allocates, without computing anything."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, v: Tensor) -> Tensor:
        """query, key [B, H, T, qk_head_dim], v [B, H, T, v_head_dim] -> [B, H, T, v_head_dim]."""
        batch, heads, length, width = v.shape
        result = v.new_empty(batch, length, heads, width).transpose(1, 2)
        log_sums = v.new_empty(batch, heads, length, dtype=torch.float32)
        ctx.save_for_backward(query, key, v, result, log_sums)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients in the shapes of query, key and value; nothing is computed."""
        query, key, v, _, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(v)


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    spans: list[list[Span]] | None,
    weigh: Weigh,
) -> Tensor:
    """`FusedAttention` as a layer's `CoreAttention`; see there for shapes."""
    result: Tensor = FusedAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
    return result


class Head(nn.Module):
    """The end of the network: final norm and head."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.lm_head = Linear(config.hidden_size, config.vocab_size)


def planned_context(config: ModelConfig, run: Pass) -> LayerContext:
    """The context of rows that are one document each, whose spans a fake tensor cannot give."""
    segments = torch.zeros(run.rows, run.length, dtype=torch.int64)
    positions = torch.arange(run.length).expand(run.rows, -1)
    mask = causal_mask(run.length, segments, segments.device)
    return LayerContext(
        rotation(config, inverse_frequencies(config), positions),
        OwnKeys(mask, [whole_row_spans(run.length)] * run.rows),
        Observation(config, balance=run.balance),
    )


def whole_row_spans(length: int) -> list[Span]:
    """`document_spans` of a row that is one document."""
    return [Span(q, min(q + SPAN_BLOCK, length), 0) for q in range(0, length, SPAN_BLOCK)]


def planned_layer(config: ModelConfig, layer: int, run: Pass) -> DecoderLayer:
    """A layer as a rank of `run.expert` has it: with its share of the experts."""
    network = DecoderLayer(config, layer)
    network.keep(run.keeping)
    if run.fused:
        network.self_attn.core = fused_attention
    for experts in (m for m in network.modules() if isinstance(m, Experts)):
        experts.dispatch = Evenly(experts.count, run.expert)
        for name, stack in list(experts.named_parameters()):
            held = stack.detach()[: experts.count // run.expert].clone()
            setattr(experts, name, nn.Parameter(held))
    return in_dtype(network, run.parameters)


def in_dtype(network: N, dtype: torch.dtype) -> N:
    """The network with parameters of `dtype`; buffers stay as they are."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(parameter.detach().to(dtype)))
    return network
