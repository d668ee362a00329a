"""What one layer, or the head, saves for its backward pass: the real one, run on fake tensors.

Fake tensors have shapes, dtypes and lifetimes but no memory, so a layer of K2 is measured on any
machine. No formula can drift from the code: what is counted is what the layer leaves alive, under
the recipe's `[memory]`. Two things depend on values and are assumed: every expert receives the same
number of rows, and every token is learned.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from openk2.architecture import ModelConfig
from openk2.model import (
    SPAN_BLOCK,
    Arrived,
    AttentionWeights,
    DecoderLayer,
    Experts,
    Keeping,
    LatentAttention,
    LayerContext,
    Linear,
    Observation,
    OwnKeys,
    RMSNorm,
    Router,
    Span,
    SwiGLU,
    Weigh,
    causal_mask,
    inverse_frequencies,
    permute,
    rotation,
    unmoved,
)
from openk2.plan.live_memory import LiveMemory
from openk2.train import StepLoss

N = TypeVar("N", bound=nn.Module)

PARTS: tuple[tuple[type[nn.Module], str], ...] = (
    (RMSNorm, "norms"),
    (LatentAttention, "attention"),
    (Router, "router"),
    (Experts, "experts"),
    (SwiGLU, "dense and shared MLP"),
    # What grows with the square of the window, where torch's plain operations keep it.
    (AttentionWeights, "attention weights"),
)


@dataclass(frozen=True)
class Kept:
    """Bytes by part of the network. device, host: kept from a forward to its backward pass.

    working: the most that the backward pass has on the device at once beyond what is kept, with
    the gradients of the weights before they are added to the step's.
    """

    device: Counter[str] = field(default_factory=Counter)
    host: Counter[str] = field(default_factory=Counter)
    working: int = 0


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
        """Gradients as large as what came."""
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
    """`FusedAttention` as a layer's `CoreAttention`."""
    result: Tensor = FusedAttention.apply(query, key, value)  # type: ignore[no-untyped-call]
    return result


def layer_kept(config: ModelConfig, layer: int, run: Pass) -> Kept:
    """What layer number `layer` keeps of one forward pass, its own result included.

    Rows hold one document each: shorter ones keep less. Measured as what a second such layer adds
    to a first, so that what both share is counted once.
    """
    live = LiveMemory()
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = planned_layer(config, layer, run)
        record_parts(network, live)
        first = torch.empty(
            run.rows, run.length, config.hidden_size, dtype=run.parameters, requires_grad=True
        )
        with live, Assumed():  # type: ignore[no-untyped-call]
            context = planned_context(config, run)

            def through(x: Tensor) -> Tensor:
                with torch.autocast("cpu", run.products, enabled=run.products is not None):
                    result: Tensor = network(x, context)
                return result

            x = through(first * 1)
            before = alive(live)
            x = through(x)
            kept = alive(live)
            del x
            working = most_working(live, network, lambda: through(first * 1))
    device = kept.device - before.device
    return Kept(device, kept.host - before.host, working)


def head_kept(config: ModelConfig, run: Pass) -> Kept:
    """What the final norm and the head keep of one forward pass whose every token is learned."""
    live = LiveMemory()
    with FakeTensorMode(allow_non_fake_inputs=True):
        head = in_dtype(Head(config), run.parameters)
        record_parts(head, live)
        first = torch.empty(
            run.rows, run.length, config.hidden_size, dtype=run.parameters, requires_grad=True
        )
        targets = torch.zeros(run.rows, run.length, dtype=torch.int64)
        roles = torch.ones(run.rows, run.length, dtype=torch.uint8)

        def through() -> Tensor:
            with torch.autocast("cpu", run.products, enabled=run.products is not None):
                hidden: Tensor = head.norm(first * 1)
                return StepLoss(1.0)(head.lm_head, hidden, targets, roles)

        with live, Assumed():  # type: ignore[no-untyped-call]
            loss = through()
            kept = alive(live)
            del loss
            working = most_working(live, head, through)
    return Kept(kept.device, kept.host, working)


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


def record_parts(network: nn.Module, live: LiveMemory) -> None:
    """Have `live` count what each module allocates in its forward pass under the module's part."""
    for module in network.modules():
        part = next((name for kind, name in PARTS if isinstance(module, kind)), None)
        if part is not None:
            module.register_forward_pre_hook(entering(live, part))
            module.register_forward_hook(leaving(live))


def entering(live: LiveMemory, part: str) -> Callable[..., None]:
    """A forward pre-hook after which new memory belongs to `part`."""
    return lambda *_: live.enter(part)


def leaving(live: LiveMemory) -> Callable[..., None]:
    """The forward hook that ends what `entering` began."""
    return lambda *_: live.leave()


def alive(live: LiveMemory) -> Kept:
    """What is alive."""
    return Kept(live.alive(host=False), live.alive(host=True))


def most_working(live: LiveMemory, network: nn.Module, forward: Callable[[], Tensor]) -> int:
    """The most bytes at once in the backward pass of `forward` beyond what the forward kept."""
    for parameter in network.parameters():
        parameter.grad = torch.empty_like(parameter)
    result = forward()
    before = live.peak = live.on_device
    result.backward(torch.empty_like(result))
    return live.peak - before
