"""The order of rows in a run: a seeded mixture that is a pure function of the step.

There is no state from step to step and no random draw: the n-th row of a run follows from the seed
and n in constant memory, so a run of any length resumes at any step, on any number of processes,
without loader state. Only this module of the package needs torch. The report mixes four domains
(section 2.2) without giving weights.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openk2.data.permutation import permuted
from openk2.data.rows import Rows

BLOCK = 4096
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Batch:
    """B rows of L tokens: inputs and what each should predict.

    tokens int64, segments int64, targets int64 with -100 where nothing is learned, roles uint8, the
    `Role` of each target: all [B, L].
    """

    tokens: Tensor
    segments: Tensor
    targets: Tensor
    roles: Tensor

    @property
    def columns(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All of it, each [B, L], in the order of construction."""
        return self.tokens, self.segments, self.targets, self.roles

    def to(self, device: str) -> "Batch":
        """The same on `device`."""
        return Batch(*(t.to(device) for t in self.columns))


class Mixture:
    """Takes each row from one of `parts`, each as often as its weight says.

    Rows come in blocks of 4096. Within a block the parts' shares are their weights to less than a
    row, in random order; the fractions are handed out by a golden-ratio sequence, so that over a
    whole run they do not add up. Within a part rows come in a new random order each epoch: none
    comes twice before all have come.
    """

    def __init__(self, parts: Sequence[Rows], weights: Sequence[float], seed: int) -> None:
        self.parts, self.seed = parts, seed
        self.edges = np.concatenate(([0.0], np.cumsum(np.array(weights) / math.fsum(weights))))
        self.edges[-1] = 1.0
        self.phase = float(np.random.default_rng(seed).random())
        self._block: tuple[int, NDArray[np.int64], NDArray[np.int64]] | None = None

    @property
    def length(self) -> int:
        """Tokens a row."""
        return self.parts[0].length

    def batch(self, step: int, rows: int) -> Batch:
        """The `rows` rows of `step`."""
        return self.batch_of(range(step * rows, (step + 1) * rows))

    def batch_of(self, numbers: Sequence[int]) -> Batch:
        """The rows of these numbers in the run, such as one process's share of a step."""
        picked = [self.parts[part].row(index) for part, index in map(self.place, numbers)]
        tokens, segments, learned = (
            torch.from_numpy(np.stack(column)) for column in zip(*picked, strict=True)
        )
        targets = torch.full(tokens.shape, -100, dtype=torch.int64)
        roles = torch.zeros_like(learned)
        predicts = (learned[:, 1:] > 0) & (segments[:, 1:] == segments[:, :-1])
        targets[:, :-1][predicts] = tokens[:, 1:][predicts].long()
        roles[:, :-1][predicts] = learned[:, 1:][predicts]
        return Batch(tokens.long(), segments.long(), targets, roles)

    def place(self, n: int) -> tuple[int, int]:
        """The part of the run's n-th row, and its index in that part."""
        number, slot = divmod(n, BLOCK)
        if self._block is None or self._block[0] != number:
            self._block = (number, *self._plan(number))
        _, parts, ranks = self._block
        part = int(parts[slot])
        size = len(self.parts[part])
        epoch, place = divmod(int(ranks[slot]), size)
        return part, permuted(place, size, (self.seed, part, epoch))

    def epochs(self, rows: int) -> list[float]:
        """How often the first `rows` rows of the run pass over each part."""
        whole, rest = divmod(rows, BLOCK)
        taken = self._shares(0, whole).sum(0)
        if rest:
            taken = taken + np.bincount(self._plan(whole)[0][:rest], minlength=len(self.parts))
        return [float(n) / len(part) for n, part in zip(taken, self.parts, strict=True)]

    def _plan(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each slot of a block its part, and how many of that part's rows come before it."""
        share = self._shares(number, number + 1)[0]
        parts = np.repeat(np.arange(len(share)), share)
        np.random.default_rng((self.seed, number)).shuffle(parts)
        ranks = np.empty(BLOCK, np.int64)
        for part, before in enumerate(self._shares(0, number).sum(0)):
            ranks[parts == part] = before + np.arange(share[part])
        return parts, ranks

    def _shares(self, first: int, last: int) -> NDArray[np.int64]:
        """Rows of each part in blocks `first` to `last`: [blocks, parts], BLOCK a block.

        Slot i of a block stands at (i + offset) / BLOCK between 0 and 1, and belongs to the part
        whose interval of the summed weights it falls into.
        """
        offsets = (self.phase + np.arange(first, last) * GOLDEN) % 1.0
        slots = np.ceil(self.edges * BLOCK - offsets[:, None]).astype(np.int64)
        shares: NDArray[np.int64] = np.diff(slots, axis=1)
        return shares
