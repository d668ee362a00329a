"""Muon's update of matrices, once their momenta and gradients are in hand; see `Muon`."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from openk2.optim.exchange import Exchange
from openk2.optim.newton_schulz import Coefficients, orthogonalize
from openk2.optim.work import Job, rounds

T = TypeVar("T")
RMS_OF_ADAMW = 0.2
# Numbers that go through Newton-Schulz together: enough to keep every core busy with small
# matrices, few enough for what is computed in between to stay in memory that the process has.
# All experts of two layers at once took twice as long (benchmarks/muon.md).
BATCH_NUMBERS = 1 << 22
# Numbers that a rank has in hand between two exchanges: messages long enough to use the network.
ROUND_NUMBERS = 1 << 26


@dataclass(frozen=True)
class Settings:
    """A parameter group's, for one step."""

    lr: float
    momentum: float
    weight_decay: float
    nesterov: bool
    ns_steps: int
    coefficients: Coefficients
    ns_dtype: torch.dtype


@dataclass(frozen=True)
class Stack:
    """Some matrices [k, n, m], or the same rows of some, with what belongs to them."""

    weights: Tensor
    gradient: Tensor
    momentum: Tensor

    def part(self, first: int, count: int) -> "Stack":
        """Matrices first .. first + count - 1; views."""
        views = (t[first : first + count] for t in (self.weights, self.gradient, self.momentum))
        return Stack(*views)

    def split(self, count: int) -> list["Stack"]:
        """`count` matrices at a time; views."""
        tensors = (self.weights, self.gradient, self.momentum)
        return [Stack(*views) for views in zip(*(t.split(count) for t in tensors), strict=True)]

    def advance(self, settings: Settings) -> Tensor:
        """Advance the momentum and return what to orthogonalise, float32 [k, n, m]."""
        gradient = self.gradient.float()
        momentum = self.momentum.float()  # the kept one itself, if that is float32
        momentum.mul_(settings.momentum).add_(gradient)
        if momentum is not self.momentum:
            self.momentum.copy_(momentum)
        if settings.nesterov:
            return torch.add(gradient, momentum, alpha=settings.momentum)
        return momentum

    def apply(self, direction: Tensor, scale: float, settings: Settings) -> None:
        """Move the weights by what was orthogonalised."""
        self.weights.mul_(1 - settings.lr * settings.weight_decay)
        self.weights.add_(direction, alpha=-settings.lr * scale)


def update_here(stacks: Sequence[Stack], settings: Settings) -> None:
    """Update whole matrices."""
    shapes: dict[torch.Size, list[Stack]] = defaultdict(list)
    for stack in stacks:
        shape = stack.weights.shape[1:]
        if len(stack.weights):
            shapes[shape] += stack.split(max(1, BATCH_NUMBERS // shape.numel()))
    for pieces in shapes.values():
        for batch in batched(pieces, [piece.weights.numel() for piece in pieces]):
            update_batch(batch, settings)


def update_batch(batch: Sequence[Stack], settings: Settings) -> None:
    """Update matrices of one shape together. Nothing in it depends on the numbers: compilable."""
    scale = update_scale(*batch[0].weights.shape[1:])
    directions = [piece.advance(settings) for piece in batch]
    results = orthogonalize_together(directions, settings)
    for piece, result in zip(batch, results, strict=True):
        piece.apply(result, scale, settings)


def update_together(
    stacks: Sequence[Stack], jobs: Sequence[Job], exchange: Exchange, settings: Settings
) -> None:
    """Update matrices that are not whole here, or not here alone; two messages a round."""
    limit = exchange.owned_at_most(ROUND_NUMBERS)
    for some in rounds(jobs, exchange.group.size(), limit):
        parts = [stacks[job.tensor].part(job.first, job.count) for job in some]
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
    """What gives the update of a matrix AdamW's root mean square."""
    return RMS_OF_ADAMW * math.sqrt(max(rows, columns))


def orthogonalize_together(matrices: Sequence[Tensor], settings: Settings) -> Sequence[Tensor]:
    """`orthogonalize` of stacks of one shape, in one call."""
    results = orthogonalize(
        torch.cat(tuple(matrices)) if len(matrices) > 1 else matrices[0],
        steps=settings.ns_steps,
        coefficients=settings.coefficients,
        dtype=settings.ns_dtype,
    )
    split: Sequence[Tensor] = results.split([len(stack) for stack in matrices])
    return split


def batched(items: Sequence[T], numbers: Sequence[int]) -> Iterator[list[T]]:
    """Items together, as long as they hold no more than BATCH_NUMBERS."""
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
