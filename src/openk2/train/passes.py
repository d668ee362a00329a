"""How a step's gradients come about: the seam between a training step and what computes it.

`MicroBatches` passes the whole network over a few rows at a time. A pipeline does the same with a
part of it (`parallel.pipeline`); a step does not know which of them ran.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.data import Batch
from openk2.model import K2Model, Observation
from openk2.parallel import Pipeline

IGNORED = -100


class Passes(Protocol):
    """The forward and backward passes of a step over this process's share of its rows."""

    def gradients(self, batch: Batch, learned: int, observation: Observation) -> Tensor:
        """Add `batch`'s gradients to those of what this process holds.

        learned: learned tokens of the whole step; the loss is `summed_loss` divided by it.
        observation: told of every token of `batch`.
        Returns that loss, a scalar; zero in processes that do not compute it, so that its sum over
        processes is the step's.
        """
        ...


@dataclass(frozen=True)
class MicroBatches:
    """The whole network here, `micro_rows` rows at a time.

    autocast: dtype of matrix products; None computes in the parameters' own.
    before: is told before each pass whether it is the step's last.
    """

    model: K2Model
    micro_rows: int
    autocast: torch.dtype | None = None
    before: Callable[[bool], None] = lambda last: None

    def gradients(self, batch: Batch, learned: int, observation: Observation) -> Tensor:
        """See `Passes`."""
        device = batch.tokens.device
        total = torch.zeros((), device=device)
        passes = len(batch.tokens) // self.micro_rows
        for number, micro in enumerate(micro_batches(batch, self.micro_rows), 1):
            self.before(number == passes)
            with torch.autocast(device.type, self.autocast, enabled=self.autocast is not None):
                loss = summed_loss(self.model, micro, observation) / learned
            loss.backward()
            total += loss.detach()
        return total


@dataclass(frozen=True)
class Pipelined:
    """The parts of the network that are here, in step with those elsewhere."""

    pipeline: Pipeline

    def gradients(self, batch: Batch, learned: int, observation: Observation) -> Tensor:
        """See `Passes`. Every rank of the pipeline is given the same `batch`."""
        return self.pipeline.run(
            batch.tokens, batch.segments, batch.targets, learned=learned, observation=observation
        )


def micro_batches(batch: Batch, rows: int) -> Iterator[Batch]:
    """`batch`, `rows` rows at a time."""
    parts = (part.split(rows) for part in (batch.tokens, batch.segments, batch.targets))
    return (Batch(*micro) for micro in zip(*parts, strict=True))


def summed_loss(model: K2Model, batch: Batch, observation: Observation | None = None) -> Tensor:
    """Cross-entropy summed over the learned tokens of `batch`."""
    hidden = model(batch.tokens, segments=batch.segments, observation=observation)
    return head_loss(model.lm_head, hidden, batch.targets)


def head_loss(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of `head` over final `hidden` [B, T, hidden], summed over the learned tokens.

    Only hidden states that predict a learned token reach the head: in fine-tuning that is a
    quarter of them, and logits are the widest tensor of the pass.
    """
    targets = targets.flatten()
    wanted = (targets != IGNORED).nonzero().squeeze(1)
    logits = head(hidden.flatten(0, 1)[wanted])
    return F.cross_entropy(logits.float(), targets[wanted], reduction="sum")
