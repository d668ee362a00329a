"""How a step's gradients are computed: `Passes`, the interface between a step and its computation.

`MicroBatches` runs the whole network over a few rows at a time; `Pipelined` runs this rank's parts
of it in a pipeline schedule (`parallel.pipeline`). The step does not know which of them ran.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from openk2.data import Batch
from openk2.model import K2Model, Observation
from openk2.parallel import Pipeline
from openk2.train.loss import StepLoss


class Passes(Protocol):
    """The forward and backward passes of a step over this process's share of its rows."""

    def gradients(self, batch: Batch, loss: StepLoss, observation: Observation) -> Tensor:
        """Add the gradients of `loss` over `batch` to those of what this process holds.

        observation: records every token of `batch`.
        Returns the loss, float32 []; zero in processes that do not compute it, so that its sum over
        the processes is the step's.
        """
        ...


@dataclass(frozen=True)
class MicroBatches:
    """The whole network here, `micro_rows` rows at a time.

    autocast: dtype of matrix products; None computes in the parameters' own.
    before: called before each pass with whether it is the step's last.
    """

    model: K2Model
    micro_rows: int
    autocast: torch.dtype | None = None
    before: Callable[[bool], None] = lambda last: None

    def gradients(self, batch: Batch, loss: StepLoss, observation: Observation) -> Tensor:
        """See `Passes`."""
        device = batch.tokens.device
        total = torch.zeros((), device=device)
        passes = len(batch.tokens) // self.micro_rows
        for number, micro in enumerate(micro_batches(batch, self.micro_rows), 1):
            self.before(number == passes)
            with torch.autocast(device.type, self.autocast, enabled=self.autocast is not None):
                part = loss_of(self.model, micro, loss, observation)
            part.backward()
            total += part.detach()
        return total


@dataclass(frozen=True)
class Pipelined:
    """The parts of the network that are held here, in a schedule with the other ranks."""

    pipeline: Pipeline

    def gradients(self, batch: Batch, loss: StepLoss, observation: Observation) -> Tensor:
        """See `Passes`. Every rank of the pipeline is given the same `batch`."""
        # Torch's schedule cuts one tensor into micro-batches: [B, T, 2].
        goals = torch.stack((batch.targets, batch.roles.long()), dim=-1)
        return self.pipeline.run(
            batch.tokens,
            batch.segments,
            goals,
            loss=lambda head, hidden, goals: loss(head, hidden, *goals.unbind(-1)),
            observation=observation,
        )


def micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """`batch`, `rows` rows at a time."""
    parts = (column.split(rows) for column in batch.columns)
    return (Batch(*micro) for micro in zip(*parts, strict=True))


def loss_of(
    model: K2Model, batch: Batch, loss: StepLoss, observation: Observation | None = None
) -> Tensor:
    """`loss` of the whole network over `batch`, [B, L]: a scalar, []."""
    hidden = model(batch.tokens, segments=batch.segments, observation=observation)
    return loss(model.lm_head, hidden, batch.targets, batch.roles)
