"""`wave_attention`: absorbed latent attention over pages in torch's own operations, for GPUs.

Keys are gathered a *wave* at a time: the next pages of every sequence that is long enough to have
some. Waves are joined by their log-sums, as in flash-decoding, so memory is that of one wave,
whatever the context. Which keys a wave has is known to the host, from the requests' lengths; it
never asks the device. `latent_attention` is the same by native kernels, with bits that do not
depend on the batch; here they may.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# What is added to the product with a key that a query must not see. Finite: a query may see no key
# of a wave, and the softmax of minus infinities is NaN. Half, so that a product cannot overflow it.
HIDDEN = torch.finfo(torch.bfloat16).min / 2


@dataclass(frozen=True)
class Wave:
    """Some pages of each of the `runs` longest sequences.

    pages: int64 [runs * P], sequence by sequence. hidden: [runs, T, P * page_size] in the query's
    dtype, HIDDEN where a token must not see a key, else 0; None: every token sees every key.
    """

    runs: int
    pages: Tensor
    hidden: Tensor | None


def wave_attention(
    query: Tensor, pages: Tensor, waves: Sequence[Wave], scale: float, rank: int
) -> Tensor:
    """query [R, Q, D] over its sequences' latents -> [R, Q, rank] in its dtype.

    query: Q rows, T tokens' heads, of each of R sequences, the longest sequence first.
    pages: [P, page_size, D]. waves: of all keys, from the first on; each query sees one of the
        first wave's at least. scale: of the products. rank: the first values of a latent are the
        values too.
    Products are rounded to the query's dtype, softmax and joining are float32.
    """
    if len(waves) == 1:
        keys, products = wave_products(query, pages, waves[0], scale)
        return torch.bmm(products.softmax(-1), keys[..., :rank])
    mixed, total = query.new_empty(0), query.new_empty(0)
    for number, wave in enumerate(waves):
        runs = wave.runs
        keys, products = wave_products(query[:runs], pages, wave, scale)
        weights = products.softmax(-1, dtype=torch.float32)
        # The log of the sum of exponentials, from the largest product and its share of the sum.
        sums = products.amax(-1, keepdim=True).float() - weights.amax(-1, keepdim=True).log()
        part = torch.bmm(weights.to(query.dtype), keys[..., :rank]).float()
        if number == 0:
            mixed, total = part, sums
            continue
        mixed[:runs].lerp_(part, (sums - total[:runs]).sigmoid())
        total[:runs] = torch.logaddexp(total[:runs], sums)
    return mixed.to(query.dtype)


def wave_products(query: Tensor, pages: Tensor, wave: Wave, scale: float) -> tuple[Tensor, Tensor]:
    """A wave's keys [runs, S, D] and their scaled products with query [runs, Q, D]: [runs, Q, S].

    pages: as in `wave_attention`. Both in the query's dtype.
    """
    gathered = pages.flatten(1).index_select(0, wave.pages)
    keys = gathered.view(wave.runs, -1, pages.shape[-1]).to(query.dtype)
    nothing = query.new_empty(1, 1, 1)  # not read where beta is 0
    if wave.hidden is None:
        return keys, torch.baddbmm(nothing, query, keys.mT, beta=0, alpha=scale)
    if wave.hidden.shape[1] == 1:
        return keys, torch.baddbmm(wave.hidden, query, keys.mT, alpha=scale)
    products = torch.baddbmm(nothing, query, keys.mT, beta=0, alpha=scale)
    # A token's heads see the same keys: repeating this for each would be as large as the products.
    products.unflatten(1, (wave.hidden.shape[1], -1)).add_(wave.hidden[:, :, None])
    return keys, products
