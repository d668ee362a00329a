"""Which experts a token chooses and what its choices weigh, apart from the router's matrix.

DeepSeek-V3 (arXiv 2412.19437, section 2.1.2): sigmoid scores, a correction bias that takes part in
choosing only, choices limited to a few groups. DeepSeek-V2 (arXiv 2405.04434, section 2.1.2):
softmax scores, no bias. N tokens, E experts, K choices.
"""

import torch
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.kernels import route


def scores_of(logits: Tensor, config: ModelConfig) -> Tensor:
    """A router's logits [N, E] -> scores of the same shape, float32."""
    return logits.sigmoid() if config.scoring_func == "sigmoid" else logits.softmax(dim=-1)


def ranking(scores: Tensor, bias: Tensor | None, config: ModelConfig) -> Tensor:
    """What experts are chosen by, [N, E]: scores plus bias [E], minus infinity outside the groups.

    The published reference masks with minus infinity (DeepSeek's inference code, transformers
    from 5.x on); with 0, as earlier copies have it, an expert of a masked group would win over one
    whose biased score is negative.
    """
    ranked = scores.detach() if bias is None else scores.detach() + bias
    if not config.limits_groups:
        return ranked
    grouped = ranked.unflatten(-1, (config.n_group, -1))
    if config.topk_method == "noaux_tc":
        best = grouped.topk(2, dim=-1).values
        worth = best[..., 0] + best[..., 1]
    else:
        worth = grouped.amax(dim=-1)
    kept = torch.zeros_like(worth, dtype=torch.bool)
    kept.scatter_(-1, worth.topk(config.topk_group, dim=-1, sorted=False).indices, True)
    limited: Tensor = grouped.masked_fill(~kept[..., None], -torch.inf).flatten(-2)
    return limited


def route_packed(logits: Tensor, bias: Tensor | None, config: ModelConfig) -> tuple[Tensor, Tensor]:
    """logits float32 [N, E] -> weights float32 [N, K] and experts int64 [N, K], for serving.

    A row's bits do not depend on the other rows, as everywhere in a packed model. The native kernel
    does all of it for one group and sigmoid scores. It gives the scores alone for more groups;
    torch's sigmoid rounds an element by where it lies in the tensor.
    """
    count, experts = config.num_experts_per_tok, config.n_routed_experts
    factor = config.routed_scaling_factor
    sigmoid = config.scoring_func == "sigmoid"
    if sigmoid and not config.limits_groups:
        zeros = logits.new_zeros(experts) if bias is None else bias
        return route(logits, zeros, count, normalise=config.norm_topk_prob, factor=factor)
    if sigmoid:
        found, where = route(
            logits, logits.new_zeros(experts), experts, normalise=False, factor=1.0
        )
        scores = torch.empty_like(logits).scatter_(-1, where, found)
    else:
        scores = scores_of(logits, config)
    ranked = ranking(scores, bias, config)
    chosen = ranked.sort(dim=-1, descending=True, stable=True).indices[:, :count]
    weights = scores.gather(-1, chosen)
    if config.norm_topk_prob:
        # One addition after the other: a reduction's order may depend on how many rows there are.
        total = weights[:, 0]
        for choice in range(1, count):
            total = total + weights[:, choice]
        weights = weights / (total[:, None] + 1e-20)
    return weights * factor, chosen.contiguous()
