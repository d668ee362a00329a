"""QK-Clip, per head and on attention logits (report 2.1 and algorithm 1, lines 9-17).

When head h's largest scaled logit S exceeds tau, its query and key weights are scaled by gamma =
tau / S between them, so that the same inputs would give exactly tau. How gamma is split depends on
what the head owns:

- Latent attention (`LatentHeads`): the positionless rows of query and key are scaled by
  sqrt(gamma) each, and the query's rotary rows by gamma, because all heads share the rotary key and
  it must not change. This is exact because no norm follows these projections.
- Ordinary attention (`OrdinaryHeads`, `FusedHeads`): query and key are scaled by sqrt(gamma) each.
  Where several query heads share a key head (grouped queries), that key must not change either:
  the query is scaled by gamma. This is exact unless a norm follows these projections (QK-norm);
  such logits are bounded already, and no weight before that norm changes them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openk2.optim.muon import Fused
from openk2.optim.rounding import is_narrow, round_stochastically, rounding_noise
from openk2.optim.shards import local, local_rows


@dataclass(frozen=True)
class LatentHeads:
    """One layer's up-projections in multi-head latent attention.

    query: [heads * (nope + rope), q_rank], rows of a head: nope, then rope.
    key_value: [heads * (nope + v), kv_rank], rows of a head: nope, then v.
    Both may be sharded by rows, also within a head: every rank scales the rows it holds.
    Raises ValueError if the rows do not fit the heads.
    """

    query: Tensor
    key_value: Tensor
    heads: int
    nope: int

    def __post_init__(self) -> None:
        for name, tensor in (("query", self.query), ("key_value", self.key_value)):
            each, rest = divmod(tensor.shape[0], self.heads)
            if rest or each < self.nope:
                raise ValueError(
                    f"{name} has {tensor.shape[0]} rows for {self.heads} heads with {self.nope} "
                    "rows without position each"
                )

    def shrink(self, g: Tensor) -> None:
        """Scale the logits of each head by g, float32 [heads], in place."""
        half = g.sqrt()[:, None].expand(-1, self.nope)
        rope = self.query.shape[0] // self.heads - self.nope
        value = self.key_value.shape[0] // self.heads - self.nope
        scale(self.query, torch.cat((half, g[:, None].expand(-1, rope)), 1).flatten(), 0)
        scale(self.key_value, torch.cat((half, g.new_ones(self.heads, value)), 1).flatten(), 1)


@dataclass(frozen=True)
class OrdinaryHeads:
    """One layer's projections in multi-head (MHA), grouped-query or multi-query attention.

    query: [heads * dim, hidden]; key: [key_heads * dim, hidden]; key_heads divides heads, and query
    head h reads key head h * key_heads // heads. query_bias [heads * dim], key_bias
    [key_heads * dim]: where the projections have them.
    Raises ValueError if the numbers of heads and rows do not match.
    """

    query: Tensor
    key: Tensor
    heads: int
    key_heads: int
    query_bias: Tensor | None = None
    key_bias: Tensor | None = None

    def __post_init__(self) -> None:
        if self.heads % self.key_heads:
            raise ValueError(f"{self.key_heads} key heads do not divide {self.heads} heads")
        rows = self.query.shape[0] * self.key_heads, self.key.shape[0] * self.heads
        if rows[0] != rows[1] or self.query.shape[0] % self.heads:
            raise ValueError(
                f"query has {self.query.shape[0]} rows for {self.heads} heads, key "
                f"{self.key.shape[0]} for {self.key_heads}: a head has as many in both"
            )

    def shrink(self, g: Tensor) -> None:
        """Scale the logits of each head by g, float32 [heads], in place."""
        own_keys = self.heads == self.key_heads
        share = g.sqrt() if own_keys else g
        tensors = (self.query, self.query_bias, *((self.key, self.key_bias) * own_keys))
        for number, tensor in enumerate(tensors):
            if tensor is not None:
                scale(tensor, share.repeat_interleave(tensor.shape[0] // self.heads), number)


@dataclass(frozen=True)
class FusedHeads:
    """One layer's queries, keys and values of ordinary attention in one matrix.

    weight: [n, hidden], or [hidden, n] for a `fused` along the columns; bias: [n]. fused: how the
    three are placed along n: queries first, keys second, heads in order. heads, key_heads: as in
    `OrdinaryHeads`. Use it for a sharded matrix too: slices of one are copies, so `OrdinaryHeads`
    would clip the copy.
    Raises ValueError if the parts do not match the heads.
    """

    weight: Tensor
    fused: Fused
    heads: int
    key_heads: int
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        parts = [p.rows if self.fused.dim == -2 else p.columns for p in self.fused.of(self.weight)]
        if len(parts) != 3 or parts[0] * self.key_heads != parts[1] * self.heads:
            raise ValueError(
                f"parts of {parts} are no queries, keys and values of {self.heads} heads and "
                f"{self.key_heads} key heads"
            )
        if self.heads % self.key_heads or parts[0] % self.heads:
            raise ValueError(
                f"{self.key_heads} key heads of {parts[1]} places do not fit {self.heads} heads of "
                f"{parts[0]}"
            )

    def shrink(self, g: Tensor) -> None:
        """Scale the logits of each head by g, float32 [heads], in place."""
        along_rows = self.fused.dim == -2
        whole = self.weight.shape if along_rows else self.weight.shape[::-1]
        factors = g.new_ones(1, whole[0], 1)
        own_keys = self.heads == self.key_heads
        share = g.sqrt() if own_keys else g
        lying = Fused(self.fused.parts, groups=self.fused.groups).of(factors[0])
        for part in lying[: 1 + own_keys]:
            places = part.view(factors, range(whole[0]))
            places.copy_(share.repeat_interleave(part.rows // self.heads).view_as(places))
        scale(self.weight, factors.flatten(), 0, along_rows=along_rows)
        if self.bias is not None:
            scale(self.bias, factors.flatten(), 1)


Heads = LatentHeads | OrdinaryHeads | FusedHeads


def scale(tensor: Tensor, factors: Tensor, number: int, *, along_rows: bool = True) -> None:
    """Multiply row i, or column i, by factors[i], in place; of a sharded tensor the rows held here.

    tensor: [rows] or [rows, columns]. factors: float32 [rows] or [columns]. A 16-bit tensor is
    rounded stochastically: to nearest, a head just above tau would not change at all. number: of
    the tensor in its layer, for noise of its own.
    """
    part, rows = local(tensor), local_rows(tensor)
    here = factors[rows.start : rows.stop] if along_rows else factors
    here = here.view(-1, *[1] * (part.ndim - 1)) if along_rows else here.view(1, -1)
    if not is_narrow(part):
        part.mul_(here)
        return
    # The noise must be the same on every rank and another in every step. Factors alone repeat: a
    # head that a 16-bit model holds just above tau has the same logit in many steps.
    drawn = int(factors.float().view(torch.int32).sum())
    drawn += int(part.view(torch.int16).sum(dtype=torch.int64))
    noise = rounding_noise(part.device, drawn, number, rows.start)
    round_stochastically(part.float() * here.float(), part, noise)


def check_fit(layers: Sequence[Heads], max_logits: Tensor) -> None:
    """Raise ValueError, with the layer, if `max_logits` is not [layers, heads]."""
    shape = list(max_logits.shape)
    if len(shape) != 2 or shape[0] != len(layers):
        raise ValueError(
            f"max_logits is {shape} for {len(layers)} layers: it must be [layers, heads]"
        )
    for layer, each in enumerate(layers):
        if each.heads != shape[1]:
            raise ValueError(
                f"layer {layer} has {each.heads} heads, max_logits {shape} gives {shape[1]}: pass "
                "the largest logit of each query head"
            )


def check_held(layers: Sequence[Heads], parameters: Iterable[Tensor]) -> None:
    """Raise ValueError, with the layer, for a tensor that is no parameter and no view of one.

    parameters: those of the optimizer, of any shape; they need not require a gradient.
    """
    held = list(parameters)
    same, memories = {id(each) for each in held}, {memory(each) for each in held}
    for layer, heads in enumerate(layers):
        for name, tensor in vars(heads).items():
            if not isinstance(tensor, Tensor) or id(tensor) in same:
                continue
            if memory(tensor) is None or memory(tensor) not in memories:
                raise ValueError(
                    f"layer {layer}: its {name} {list(tensor.shape)} is none of the optimizer's "
                    "parameters: shard and move the network first, then make optimizer and heads"
                )


def memory(tensor: Tensor) -> int | None:
    """Where the numbers of a tensor of any shape begin; None if it has none here."""
    return local(tensor).untyped_storage().data_ptr() or None


@torch.no_grad()
def qk_clip(layers: Sequence[Heads], max_logits: Tensor, tau: float) -> Tensor:
    """Scale down every head whose `max_logits` [layers, heads] exceeds tau, in place.

    Algorithm 1 of the report (section 2.1), lines 9-17.

    16-bit weights are rounded stochastically, so that their head reaches tau on average.
    Returns which heads were clipped, bool [layers, heads]. A head at or below tau stays bit-equal,
    and so does one without any logit (minus infinity). Raises ValueError, before anything is
    clipped, if `max_logits` does not fit the layers and their heads, or if a logit is NaN or plus
    infinity: it would destroy the weights.
    """
    check_fit(layers, max_logits)
    unusable = max_logits.isnan() | (max_logits == torch.inf)
    if unusable.any():
        layer, head = unusable.nonzero()[0].tolist()
        raise ValueError(
            f"max logit of layer {layer} head {head} is {float(max_logits[layer, head])}: "
            "nothing was clipped"
        )
    clipped = max_logits > tau
    factors = torch.where(clipped, tau / max_logits, torch.ones_like(max_logits))
    for heads, g, any_clipped in zip(layers, factors, clipped.any(1).tolist(), strict=True):
        if any_clipped:
            heads.shrink(g)
    return clipped
