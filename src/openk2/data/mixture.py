"""Which row comes when: a seeded mixture that is a pure function of the step.

A run resumes at any step with no loader state to save: the n-th row of the run is decided by the
seed alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openk2.data.packing import PackedRows


@dataclass(frozen=True)
class Batch:
    """B rows of L tokens: inputs and what each should predict.

    tokens int64, segments int64, targets int64 with -100 where nothing is learned: all [B, L].
    """

    tokens: Tensor
    segments: Tensor
    targets: Tensor


class Mixture:
    """Draws each row from one of `parts`, with probability in proportion to its weight.

    Within a part, rows come in a fresh random order each epoch.
    """

    def __init__(self, parts: Sequence[PackedRows], weights: Sequence[float], seed: int) -> None:
        self.parts, self.seed = parts, seed
        self.probabilities = np.array(weights, dtype=np.float64) / sum(weights)
        self.choices = np.empty(0, np.int64)
        self.ranks = np.empty(0, np.int64)
        self.orders: dict[int, tuple[int, np.ndarray]] = {}

    @property
    def length(self) -> int:
        """Tokens a row."""
        return self.parts[0].tokens.shape[1]

    def batch(self, step: int, rows: int) -> Batch:
        """The `rows` rows of `step`."""
        self.plan((step + 1) * rows)
        picked = [self.row(n) for n in range(step * rows, (step + 1) * rows)]
        tokens, segments, learned = (torch.stack(column) for column in zip(*picked, strict=True))
        targets = torch.full(tokens.shape, -100, dtype=torch.int64)
        predicts = learned[:, 1:] & (segments[:, 1:] == segments[:, :-1])
        targets[:, :-1][predicts] = tokens[:, 1:][predicts].long()
        return Batch(tokens.long(), segments.long(), targets)

    def plan(self, count: int) -> None:
        """Decide the parts of the first `count` rows, in blocks that never change once decided."""
        block = 4096
        while len(self.choices) < count:
            number = len(self.choices) // block
            drawn = np.random.default_rng((self.seed, number)).choice(
                len(self.parts), size=block, p=self.probabilities
            )
            before = [int((self.choices == part).sum()) for part in range(len(self.parts))]
            ranks = np.empty(block, np.int64)
            for part in range(len(self.parts)):
                mine = drawn == part
                ranks[mine] = before[part] + np.arange(mine.sum())
            self.choices = np.concatenate((self.choices, drawn))
            self.ranks = np.concatenate((self.ranks, ranks))

    def row(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """The n-th row of the run."""
        part = int(self.choices[n])
        rows = self.parts[part]
        epoch, place = divmod(int(self.ranks[n]), len(rows))
        index = int(self.order(part, epoch)[place])
        return rows.tokens[index], rows.segments[index], rows.learned[index]

    def order(self, part: int, epoch: int) -> np.ndarray:
        """The order of a part's rows in an epoch; each part's last one is kept."""
        known_epoch, order = self.orders.get(part, (-1, np.empty(0, np.int64)))
        if known_epoch != epoch:
            rng = np.random.default_rng((self.seed, part, epoch))
            order = rng.permutation(len(self.parts[part]))
            self.orders[part] = (epoch, order)
        return order
