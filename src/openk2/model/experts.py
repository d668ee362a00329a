"""The mixture of experts of DeepSeek-V3 (arXiv 2412.19437, section 2.1.2), as K2 configures it.

The router chooses experts as `routing` says; chosen scores are normalised and scaled; shared
experts, which are one wide SwiGLU, see every token. The routed experts' matrices are stacked over
experts in memory and split on disk by `checkpoint`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.architecture import ModelConfig
from openk2.kernels import PackedExperts, PackedLinear, PackedSwiGLU, Weight, plain
from openk2.model.activations import Activations, compute_dtype
from openk2.model.dispatch import Dispatch, here
from openk2.model.linear import WeightReader, forgotten, own_weights
from openk2.model.observation import Observation
from openk2.model.routing import ranking, route_packed, scores_of


class StreamedLayer(Protocol):
    """What computes a layer's routed experts where their weights are elsewhere."""

    def request(self, chosen: Tensor) -> None:
        """chosen int64 [N, K]: what the next call asks for. Returns at once; reading begins."""
        ...

    def __call__(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """See `Experts.forward`; the bits are those of `PackedExperts`. Waits for what is read."""
        ...

    def expect(self, chosen: Tensor) -> None:
        """chosen int64 [N, K]: a guess at what will be requested."""
        ...


RoutedExperts = Callable[[int], StreamedLayer]
PROJECTIONS = ("gate_proj", "up_proj", "down_proj")


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)
        self.packed: PackedSwiGLU | None = None
        self.activations = Activations()

    def pack(self, read: WeightReader | None = None) -> None:
        """Pack the weights for serving (see `Linear.pack`); they are dropped."""
        read = read or own_weights(self)
        gate, up, down = (read(f"{name}.weight") for name in PROJECTIONS)
        self.packed = PackedSwiGLU.pack(gate, up, down)
        for layer in (self.gate_proj, self.up_proj, self.down_proj):
            layer.weight = forgotten(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., hidden] -> [..., hidden]."""
        if self.packed is not None:
            return self.packed(x.flatten(0, -2)).view_as(x)
        keep = self.activations
        x = keep.roundable(keep.compute("norms", compute_dtype, x))
        gate, up = keep.roundable(self.gate_proj(x)), keep.roundable(self.up_proj(x))
        result: Tensor = self.down_proj(keep.compute("swiglu", gated, gate, up))
        return result


class Router(nn.Module):
    """Chooses num_experts_per_tok experts a token (DeepSeek-V3, equations 13 to 16).

    Scores are float32 whatever x is. A router that chooses greedily has no correction bias.
    """

    e_score_correction_bias: Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        # No gradient reaches the bias: the balance rule of the trainer moves it.
        bias = torch.zeros(config.n_routed_experts) if config.has_router_bias else None
        self.register_buffer("e_score_correction_bias", bias)
        self.packed: PackedLinear | None = None

    def pack(self, read: WeightReader | None = None) -> None:
        """Pack the weight for serving, in float32; it is dropped."""
        read = read or own_weights(self)
        self.packed = PackedLinear.pack(plain(read("weight"), torch.float32).float())
        self.weight = forgotten(self.weight)

    def forward(
        self, x: Tensor, see: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """x [N, hidden] -> weights float32 [N, K] and expert indices int64 [N, K].

        see: takes the scores [N, experts] and returns the scores to continue with.
        """
        config = self.config
        if self.packed is not None:
            bias = self.e_score_correction_bias
            bias = None if bias is None else bias.float()
            return route_packed(self.packed(x.float()), bias, config)
        with torch.autocast(x.device.type, enabled=False):
            scores = scores_of(F.linear(x.float(), self.weight.float()), config)
        if see is not None:
            scores = see(scores)
        weights, chosen = self.choose(scores)
        return weights * config.routed_scaling_factor, chosen

    def choose(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """scores float32 [N, experts] -> unscaled weights float32 [N, K], experts int64 [N, K]."""
        config = self.config
        ranked = ranking(scores, self.e_score_correction_bias, config)
        chosen = ranked.topk(config.num_experts_per_tok, dim=-1, sorted=False).indices
        weights = scores.gather(-1, chosen)
        if config.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights, chosen


class Experts(nn.Module):
    """E SwiGLUs, stacked: gate_proj, up_proj [E, inner, hidden], down_proj [E, hidden, inner].

    With a `dispatch` other than `here`, the stacks are this process's part of the experts.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.count = count = config.n_routed_experts
        hidden = config.hidden_size
        inner = config.moe_intermediate_size
        self.gate_proj = nn.Parameter(torch.empty(count, inner, hidden))
        self.up_proj = nn.Parameter(torch.empty(count, inner, hidden))
        self.down_proj = nn.Parameter(torch.empty(count, hidden, inner))
        self.packed: PackedExperts | StreamedLayer | None = None
        self.dispatch: Dispatch = here
        self.activations = Activations()

    def pack(self, read: WeightReader | None = None) -> None:
        """Pack the stacks for serving, expert by expert (see `Linear.pack`); they are dropped.

        Experts that `stream` was called on stay as they are.
        """
        if self.packed is not None:
            return
        read = read or own_weights(self)

        def triple(expert: int) -> tuple[Weight, Weight, Weight]:
            gate, up, down = (read(name, expert) for name in PROJECTIONS)
            return gate, up, down

        self.packed = PackedExperts.gather(self.count, triple)
        for name in PROJECTIONS:
            setattr(self, name, forgotten(getattr(self, name)))

    def stream(self, streamed: StreamedLayer) -> None:
        """Have `streamed` compute these experts, for serving; the stacks are dropped."""
        self.packed = streamed
        for name in PROJECTIONS:
            setattr(self, name, forgotten(getattr(self, name)))

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """x [N, hidden], weights float32 [N, K], chosen int64 [N, K] -> [N, hidden], dtype of x."""
        if self.packed is not None:
            return self.packed(x, weights, chosen)
        order = chosen.flatten().argsort(stable=True)
        inverse = order.argsort()
        counts = torch.bincount(chosen.flatten(), minlength=self.count)
        per_token = chosen.shape[-1]
        keep = self.activations
        repeated = compute_dtype(x).repeat_interleave(per_token, dim=0)
        arrived = self.dispatch(permute(repeated, order, inverse), counts)
        shares = arrived.along(permute(weights.flatten()[:, None], order, inverse))
        groups = arrived.counts  # a separate name, so that recomputation does not hold the rows
        grouped = keep.roundable(arrived.rows)
        gate = keep.roundable(each(grouped, self.gate_proj, groups))
        up = keep.roundable(each(grouped, self.up_proj, groups))
        inner = keep.compute("swiglu", gated, gate, up)
        down = keep.compute("moe_down", lambda x: each(x, self.down_proj, groups), inner)
        # Weighed on the experts' rank, in their order: the backward pass then needs only `down`,
        # which may be recomputed.
        routed = permute(arrived.back(down * shares), inverse, order)
        mixed: Tensor = routed.unflatten(0, (-1, per_token)).sum(1).to(x.dtype)
        return mixed


def each(x: Tensor, stack: Tensor, counts: list[int]) -> Tensor:
    """x [M, in], rows grouped by expert, counts[e] of them; stack [E, out, in] -> [M, out]."""
    # unbind, not indexing: its backward stacks the gradients instead of adding E padded ones.
    matrices = stack.to(x.dtype).unbind(0)
    groups = [F.linear(rows, matrices[e]) for e, rows in enumerate(x.split(counts)) if counts[e]]
    return torch.cat(groups)


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up, [rows, intermediate] each."""
    return F.silu(gate) * up


class MixtureOfExperts(nn.Module):
    """Routed experts plus shared ones (DeepSeek-V3, equation 12, without the residual)."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.gate = Router(config)
        self.experts = Experts(config)
        inner = config.moe_intermediate_size * config.n_shared_experts
        self.shared_experts = SwiGLU(config.hidden_size, inner) if inner else None

    def forward(
        self,
        x: Tensor,
        observation: Observation | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Tensor:
        """x [B, T, hidden] -> [B, T, hidden]. meanwhile: is called once the experts are chosen."""
        rows = x.flatten(0, 1)
        if observation is None:
            weights, chosen = self.gate(rows)
        else:
            see = partial(observation.see_scores, self.layer, sequences=len(x))
            weights, chosen = self.gate(rows, see)
            observation.see_load(self.layer, chosen)
        if (streamed := self.streamed) is not None:
            streamed.request(chosen)
        if meanwhile is not None:
            meanwhile()
        # Shared experts first: those that are streamed arrive while these are computed.
        shared = None if self.shared_experts is None else self.shared_experts(x)
        routed: Tensor = self.experts(rows, weights, chosen).view_as(x)
        return routed if shared is None else routed + shared

    @property
    def streamed(self) -> StreamedLayer | None:
        """What computes the routed experts if their weights are not in memory."""
        packed = self.experts.packed
        return None if packed is None or isinstance(packed, PackedExperts) else packed

    def expect(self, normed: Tensor) -> None:
        """Tell streamed experts which of them a guess at this layer's input, [B, T, hidden], asks
        for."""
        if (streamed := self.streamed) is not None:
            streamed.expect(self.gate(normed.flatten(0, 1))[1])


class Permute(torch.autograd.Function):
    """Permute rows. The backward is the inverse permutation: no sums, so it is bit-reproducible,
    where the backward of indexing adds rows in thread order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        """x [M, D] -> x[order]; `inverse` undoes `order`."""
        ctx.save_for_backward(inverse)
        return x[order]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """gradient [M, D] of the permuted rows -> of the rows."""
        (inverse,) = ctx.saved_tensors
        return gradient[inverse], None, None


def permute(x: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
    """`Permute`, typed; see there for shapes."""
    result: Tensor = Permute.apply(x, order, inverse)  # type: ignore[no-untyped-call]
    return result
