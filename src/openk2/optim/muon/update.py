"""Muon's update of stacks of matrices (algorithm 1, lines 4-6): here, or together with others."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor

from openk2.optim.muon.exchange import Exchange
from openk2.optim.muon.work import Assignment, rounds
from openk2.optim.newton_schulz import Coefficients, orthogonalize
from openk2.optim.rounding import round_stochastically

T = TypeVar("T")
RMS_OF_ADAMW = 0.2
# Numbers that go through Newton-Schulz together: enough to keep every core busy with small
# matrices, few enough for the intermediate results to reuse memory that the process has.
# All experts of two layers at once took twice as long (benchmarks/muon.md).
BATCH_NUMBERS = 1 << 22
# Numbers that a rank holds between two exchanges: messages long enough to use the network well.
ROUND_NUMBERS = 1 << 26


@dataclass(frozen=True)
class MuonSettings:
    """A parameter group's settings in one step; see `Muon`."""

    lr: float
    momentum: float
    weight_decay: float
    nesterov: bool
    ns_steps: int
    coefficients: Coefficients
    ns_dtype: torch.dtype


@dataclass(frozen=True)
class Stack:
    """k matrices of one shape, or the same rows of k matrices, with their gradient and momentum.

    The tensors are [k, n, m], or have one dimension more where the positions of a matrix are not
    contiguous (`Matrices.view`). shape: (n, m). noise: how 16-bit weights are rounded.
    """

    shape: tuple[int, int]
    weights: Tensor
    gradient: Tensor
    momentum: Tensor
    noise: torch.Generator | None = field(default=None, kw_only=True)

    def part(self, first: int, count: int) -> "Stack":
        """Matrices first .. first + count - 1; views."""
        views = (t[first : first + count] for t in (self.weights, self.gradient, self.momentum))
        return Stack(self.shape, *views, noise=self.noise)

    def split(self, count: int) -> list["Stack"]:
        """`count` matrices at a time; views."""
        tensors = (self.weights, self.gradient, self.momentum)
        pieces = zip(*(t.split(count) for t in tensors), strict=True)
        return [Stack(self.shape, *views, noise=self.noise) for views in pieces]

    def advance(self, settings: MuonSettings) -> Tensor:
        """Update the momentum and return what to orthogonalise, float32 [k, n, m].

        Line 4 of algorithm 1 (report 2.1), which has no Nesterov momentum. With Nesterov that is a
        new tensor; without, it may share the momentum's memory.
        """
        gradient = self.gradient.float()
        momentum = self.momentum.float()  # the same tensor if it is float32 already
        momentum.mul_(settings.momentum).add_(gradient)
        if momentum is not self.momentum:
            self.momentum.copy_(momentum)
        if settings.nesterov:
            momentum = torch.add(gradient, momentum, alpha=settings.momentum)
        return momentum.reshape(len(momentum), *self.shape)

    def apply(self, direction: Tensor, scale: float, settings: MuonSettings) -> None:
        """Decay the weights, then move them along `direction` [k, n, m], orthogonal; line 6."""
        weights = self.weights if self.noise is None else self.weights.float()
        weights.mul_(1 - settings.lr * settings.weight_decay)
        step = direction.reshape(weights.shape)
        weights.add_(step, alpha=-settings.lr * scale)
        if self.noise is not None:
            round_stochastically(weights, self.weights, self.noise)


def update_here(stacks: Sequence[Stack], settings: MuonSettings) -> None:
    """Update whole matrices."""
    shapes: dict[tuple[int, int], list[Stack]] = defaultdict(list)
    for stack in stacks:
        if len(stack.weights):
            shapes[stack.shape] += stack.split(max(1, BATCH_NUMBERS // math.prod(stack.shape)))
    for pieces in shapes.values():
        for batch in batched(pieces, [piece.weights.numel() for piece in pieces]):
            update_batch(batch, settings)


def update_batch(batch: Sequence[Stack], settings: MuonSettings) -> None:
    """Update matrices of one shape together. No branch depends on values, so it compiles."""
    scale = update_scale(*batch[0].shape)
    directions = [piece.advance(settings) for piece in batch]
    results = orthogonalize_together(directions, settings, overwrite=settings.nesterov)
    for piece, result in zip(batch, results, strict=True):
        piece.apply(result, scale, settings)


def update_together(
    stacks: Sequence[Stack], jobs: Sequence[Assignment], exchange: Exchange, settings: MuonSettings
) -> None:
    """Update matrices that several ranks hold, in rows or as copies; two messages a round."""
    limit = exchange.owned_at_most(ROUND_NUMBERS)
    for some in rounds(jobs, exchange.group.size(), limit):
        parts = [stacks[job.stack].part(job.first, job.count) for job in some]
        sent = [part.advance(settings).to(settings.ns_dtype) for part in parts]
        whole = exchange.collect(some, sent)
        shapes: dict[torch.Size, list[int]] = defaultdict(list)
        for index, matrices in enumerate(whole):
            shapes[matrices.shape[1:]].append(index)
        results = list(whole)
        for alike in shapes.values():
            for batch in batched(alike, [whole[i].numel() for i in alike]):
                done = orthogonalize_together([whole[i] for i in batch], settings)
                for index, result in zip(batch, done, strict=True):
                    results[index] = result
        spread = exchange.spread(some, sent, results)
        for job, part, result in zip(some, parts, spread, strict=True):
            part.apply(result, update_scale(job.rows, job.columns), settings)


def update_scale(rows: int, columns: int) -> float:
    """0.2 sqrt(max(n, m)), which gives the update AdamW's root mean square (line 5)."""
    return RMS_OF_ADAMW * math.sqrt(max(rows, columns))


def orthogonalize_together(
    matrices: Sequence[Tensor], settings: MuonSettings, *, overwrite: bool = False
) -> list[Tensor]:
    """`orthogonalize` stacks [k, n, m] of one shape in one call. overwrite: reuse their memory."""
    tall = matrices[0].shape[-2] > matrices[0].shape[-1]
    wide = [stack.mT if tall else stack for stack in matrices]
    results = orthogonalize(
        torch.cat(wide) if len(wide) > 1 else wide[0],
        steps=settings.ns_steps,
        coefficients=settings.coefficients,
        dtype=settings.ns_dtype,
        overwrite=overwrite or len(wide) > 1,
    )
    return [part.mT if tall else part for part in results.split([len(stack) for stack in wide])]


def batched(items: Sequence[T], numbers: Sequence[int]) -> Iterator[list[T]]:
    """Group consecutive items while they hold no more than BATCH_NUMBERS; numbers: of each item."""
    batch: list[T] = []
    total = 0
    for item, more in zip(items, numbers, strict=True):
        if batch and total + more > BATCH_NUMBERS:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += more
    if batch:
        yield batch
