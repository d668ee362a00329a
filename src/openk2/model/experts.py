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
from openk2.model.observation import Observation


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., hidden] -> [..., hidden]."""
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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [N, hidden] -> weights float32 [N, K] and expert indices int64 [N, K]."""
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

    def forward(self, x: Tensor, counts: list[int]) -> Tensor:
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
        order = chosen.flatten().argsort(stable=True)
        counts = torch.bincount(chosen.flatten(), minlength=self.config.n_routed_experts)
        if observation is not None:
            observation.see_load(self.layer, chosen)
        per_token = self.config.num_experts_per_tok
        inverse = order.argsort()
        repeated = compute_dtype(rows).repeat_interleave(per_token, dim=0)
        grouped = self.experts(permute(repeated, order, inverse), counts.tolist())
        routed = permute(grouped, inverse, order).unflatten(0, (-1, per_token))
        mixed = (routed * weights[..., None]).sum(1)
        result: Tensor = mixed.to(x.dtype).view_as(x) + self.shared_experts(x)
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
