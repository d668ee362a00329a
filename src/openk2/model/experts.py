"""The mixture of experts of DeepSeek-V3 (arXiv 2412.19437, section 2.1.2), as K2 configures it.

Sigmoid scores; the correction bias takes part in choosing experts but not in weighing them; chosen
scores are normalised and scaled; a shared expert sees every token. The routed experts' matrices
are stacked over experts in memory and split on disk by `checkpoint`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.architecture import ModelConfig
from openk2.kernels import PackedExperts, PackedLinear, PackedSwiGLU, route
from openk2.model.linear import forgotten
from openk2.model.observation import Observation


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)
        self.packed: PackedSwiGLU | None = None

    def pack(self) -> None:
        """Make the weights ready for serving; they are forgotten."""
        gate, up, down = layers = self.gate_proj, self.up_proj, self.down_proj
        self.packed = PackedSwiGLU.pack(gate.weight, up.weight, down.weight)
        for layer in layers:
            layer.weight = forgotten(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., hidden] -> [..., hidden]."""
        if self.packed is not None:
            return self.packed(x.flatten(0, -2)).view_as(x)
        result: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class Router(nn.Module):
    """Chooses num_experts_per_tok experts a token. Scores are float32 whatever x is."""

    e_score_correction_bias: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(config.n_routed_experts, config.hidden_size))
        # No gradient reaches the bias: the balance rule of the trainer moves it.
        self.register_buffer("e_score_correction_bias", torch.zeros(config.n_routed_experts))
        self.packed: PackedLinear | None = None

    def pack(self) -> None:
        """Make the weight ready for serving, in float32."""
        self.packed = PackedLinear.pack(self.weight.float())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [N, hidden] -> weights float32 [N, K] and expert indices int64 [N, K]."""
        if self.packed is not None:
            return route(
                self.packed(x.float()),
                self.e_score_correction_bias.float(),
                self.config.num_experts_per_tok,
                normalise=self.config.norm_topk_prob,
                factor=self.config.routed_scaling_factor,
            )
        with torch.autocast(x.device.type, enabled=False):
            scores = F.linear(x.float(), self.weight.float()).sigmoid()
        biased = scores.detach() + self.e_score_correction_bias
        chosen = biased.topk(self.config.num_experts_per_tok, dim=-1, sorted=False).indices
        weights = scores.gather(-1, chosen)
        if self.config.norm_topk_prob:
            weights = weights / (weights.sum(-1, keepdim=True) + 1e-20)
        return weights * self.config.routed_scaling_factor, chosen


class Experts(nn.Module):
    """E SwiGLUs, stacked: gate_proj, up_proj [E, inner, hidden], down_proj [E, hidden, inner]."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        count, hidden = config.n_routed_experts, config.hidden_size
        inner = config.moe_intermediate_size
        self.gate_proj = nn.Parameter(torch.empty(count, inner, hidden))
        self.up_proj = nn.Parameter(torch.empty(count, inner, hidden))
        self.down_proj = nn.Parameter(torch.empty(count, hidden, inner))
        self.packed: PackedExperts | None = None

    def pack(self) -> None:
        """Make the stacks ready for serving; they are forgotten."""
        self.packed = PackedExperts.pack(self.gate_proj, self.up_proj, self.down_proj)
        for name in ("gate_proj", "up_proj", "down_proj"):
            setattr(self, name, forgotten(getattr(self, name)))

    def forward(self, x: Tensor, weights: Tensor, chosen: Tensor) -> Tensor:
        """x [N, hidden], weights float32 [N, K], chosen int64 [N, K] -> [N, hidden], dtype of x."""
        if self.packed is not None:
            return self.packed(x, weights, chosen)
        order = chosen.flatten().argsort(stable=True)
        inverse = order.argsort()
        counts = torch.bincount(chosen.flatten(), minlength=self.gate_proj.shape[0])
        per_token = chosen.shape[-1]
        repeated = compute_dtype(x).repeat_interleave(per_token, dim=0)
        grouped = self.apply_each(permute(repeated, order, inverse), counts.tolist())
        routed = permute(grouped, inverse, order).unflatten(0, (-1, per_token))
        mixed: Tensor = (routed * weights[..., None]).sum(1).to(x.dtype)
        return mixed

    def apply_each(self, x: Tensor, counts: list[int]) -> Tensor:
        """x [M, hidden], rows grouped by expert, counts[e] of them for expert e -> [M, hidden]."""
        # unbind, not indexing: its backward stacks the gradients instead of adding E padded ones.
        gates, ups, downs = (
            stack.to(x.dtype).unbind(0) for stack in (self.gate_proj, self.up_proj, self.down_proj)
        )
        outputs = [
            F.linear(F.silu(F.linear(rows, gates[e])) * F.linear(rows, ups[e]), downs[e])
            for e, rows in enumerate(x.split(counts))
            if counts[e]
        ]
        return torch.cat(outputs)


class MixtureOfExperts(nn.Module):
    """Routed experts plus the shared one."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.config, self.layer = config, layer
        self.gate = Router(config)
        self.experts = Experts(config)
        self.shared_experts = SwiGLU(
            config.hidden_size, config.moe_intermediate_size * config.n_shared_experts
        )

    def forward(self, x: Tensor, observation: Observation | None = None) -> Tensor:
        """x [B, T, hidden] -> [B, T, hidden]."""
        rows = x.flatten(0, 1)
        weights, chosen = self.gate(rows)
        if observation is not None:
            observation.see_load(self.layer, chosen)
        result: Tensor = self.experts(rows, weights, chosen).view_as(x) + self.shared_experts(x)
        return result


class Permute(torch.autograd.Function):
    """Rows in another order. The backward is the inverse permutation: no sums, so bit-reproducible,
    where plain indexing would add rows in whatever order the threads come."""

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
    """`Permute`, typed."""
    result: Tensor = Permute.apply(x, order, inverse)  # type: ignore[no-untyped-call]
    return result


def compute_dtype(x: Tensor) -> Tensor:
    """x in the dtype that autocast would give a matrix product, x itself without autocast."""
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x
