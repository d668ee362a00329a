"""Sampling the next token of each row of logits, and log-probabilities of tokens.

Pure functions of logits, settings and uniform numbers. The caller owns the randomness, so a row's
token depends on that row alone.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from openk2.protocol import SamplingParams, TokenLogprobs

# How many of the likeliest tokens are ranked at first. A full sort takes 5 times as long for 4,096
# tokens and 50 times for 163,840.
HEAD = 128
# Below this a temperature or top_p leaves one token, and still lower float32 rounds it to zero.
LEAST = 1e-6


def choose(
    logits: Tensor, params: Sequence[SamplingParams], uniforms: Sequence[float]
) -> list[int]:
    """Sample one token id a row of `logits` [B, V], of any float dtype; computed in float32.

    params: the settings of each row; a greedy row takes its likeliest token.
    uniforms: a number in [0, 1) a row. A row that is not greedy takes the first id, in vocabulary
        order, at which its cumulative probability exceeds the number.
    A row's largest logit must be finite: see `hopeless_rows`.
    """
    logits = logits.float()
    peaks, likeliest = logits.max(dim=-1)
    if all(map(is_greedy, params)):
        return [int(token) for token in likeliest.tolist()]
    device = logits.device
    temperatures = torch.tensor(
        [1.0 if is_greedy(row) else row.temperature for row in params], device=device
    )
    probabilities = ((logits - peaks[:, None]) / temperatures[:, None]).softmax(dim=-1)
    if any(row.min_p for row in params):
        least = torch.tensor([[row.min_p] for row in params], device=device)
        bound = least * probabilities.amax(dim=-1, keepdim=True)
        probabilities = probabilities.where(probabilities >= bound, 0.0)
    cut = [i for i, row in enumerate(params) if row.top_k or row.top_p < 1]
    if cut:
        probabilities[cut] = truncate(probabilities[cut], [params[i] for i in cut])
    drawn = draw(probabilities, torch.tensor(uniforms, device=device))
    greedy = torch.tensor([is_greedy(row) for row in params], device=device)
    return [int(token) for token in torch.where(greedy, likeliest, drawn).tolist()]


def hopeless_rows(logits: Tensor) -> list[int]:
    """The rows of `logits` [B, V] that `choose` cannot sample: the largest is NaN or infinite."""
    unusable = ~logits.amax(dim=-1).isfinite()
    return unusable.nonzero()[:, 0].tolist()


def penalizes(params: SamplingParams) -> bool:
    """Whether `penalize` can change anything."""
    return bool(
        params.repetition_penalty != 1
        or params.presence_penalty
        or params.frequency_penalty
        or params.logit_bias
    )


def penalize(
    row: Tensor, params: SamplingParams, prompt: Tensor, output: Mapping[int, int]
) -> Tensor:
    """One row of logits [V] after penalties and bias, float32 [V].

    prompt: its ids, int64 [N]. output: how often each id was generated. The repetition penalty is
    applied first, then presence and frequency penalties, then the bias, as in the published
    engines. A float32 row without any of them is returned as it is.
    """
    row = row.float()
    if params.repetition_penalty != 1:
        penalty = params.repetition_penalty
        seen = torch.zeros_like(row, dtype=torch.bool).index_fill_(0, prompt, True)
        if output:
            seen.index_fill_(0, torch.tensor(list(output), device=row.device), True)
        row = torch.where(seen, torch.where(row > 0, row / penalty, row * penalty), row)
    if output and (params.presence_penalty or params.frequency_penalty):
        ids = torch.tensor(list(output), device=row.device)
        often = torch.tensor(list(output.values()), dtype=row.dtype, device=row.device)
        row = row.index_add(0, ids, -(params.presence_penalty + params.frequency_penalty * often))
    if params.logit_bias:
        ids = torch.tensor(list(params.logit_bias), device=row.device)
        bias = torch.tensor(list(params.logit_bias.values()), device=row.device)
        row = row.index_add(0, ids, bias.float())
    return row


def score(logits: Tensor, tokens: Sequence[int], top: int) -> list[TokenLogprobs]:
    """Log-probabilities of `tokens`, one a row of `logits` [N, V], each with the `top` likeliest.

    Computed in float32.
    """
    logprobs = logits.float().log_softmax(dim=-1)
    ids = torch.tensor(tokens, device=logits.device)
    chosen = logprobs.gather(-1, ids[:, None])[:, 0].tolist()
    best, best_ids = logprobs.topk(min(top, logits.shape[-1]), dim=-1)
    ranked = [
        tuple(zip(row_ids, row, strict=True))
        for row_ids, row in zip(best_ids.tolist(), best.tolist(), strict=True)
    ]
    return [TokenLogprobs(*row) for row in zip(tokens, chosen, ranked, strict=True)]


def is_greedy(params: SamplingParams) -> bool:
    """Whether the likeliest token is the only choice."""
    return params.temperature < LEAST or params.top_p < LEAST or params.top_k == 1


def truncate(probabilities: Tensor, params: Sequence[SamplingParams]) -> Tensor:
    """`probabilities` [B, V] with zeros where top_k and then top_p exclude a token.

    The result is not renormalised, and rows need not sum to 1, since min_p comes first. Rows whose
    bounds lie among their HEAD likeliest tokens, nearly all in practice, are not sorted fully.
    """
    size = probabilities.shape[-1]
    kept, settled = truncate_head(probabilities, params, min(HEAD, size))
    rest = [i for i, done in enumerate(settled.tolist()) if not done]
    if rest:
        kept[rest], _ = truncate_head(probabilities[rest], [params[i] for i in rest], size)
    return kept


def truncate_head(
    probabilities: Tensor, params: Sequence[SamplingParams], width: int
) -> tuple[Tensor, Tensor]:
    """`truncate`, looking only at each row's `width` likeliest tokens.

    Returns the kept probabilities [B, V] and, bool [B], for which rows that was enough. top_p is a
    share of what top_k leaves.
    """
    device, size = probabilities.device, probabilities.shape[-1]
    top_k = torch.tensor([[min(row.top_k or size, size)] for row in params], device=device)
    # A bound above 1 keeps the tail that rounding would put at a cumulative share of exactly 1.
    top_p = torch.tensor([[row.top_p if row.top_p < 1 else 2.0] for row in params], device=device)
    ordered, ids = probabilities.topk(width, dim=-1)
    ordered = ordered * (torch.arange(width, device=device) < top_k)
    reached = ordered.sum(dim=-1, keepdim=True)
    all_ranked = top_k <= width
    bound = top_p * torch.where(all_ranked, reached, probabilities.sum(dim=-1, keepdim=True))
    before = ordered.cumsum(dim=-1) - ordered
    kept = torch.zeros_like(probabilities).scatter_(-1, ids, ordered * (before < bound))
    settled = all_ranked | ((top_k == size) & (reached >= bound))
    return kept, settled.squeeze(-1)


def draw(weights: Tensor, uniforms: Tensor) -> Tensor:
    """The first index at which a row's cumulative weight exceeds its share of the total.

    weights: float [B, V], not negative. uniforms: float [B] in [0, 1). Returns int64 [B].
    """
    cumulative = weights.cumsum(dim=-1)
    total = cumulative[:, -1]
    # Rounding may lift a share to the total itself, past the last token that has any weight.
    shares = torch.minimum(uniforms * total, total.nextafter(torch.zeros_like(total)))
    return torch.searchsorted(cumulative, shares[:, None], right=True).squeeze(-1)
