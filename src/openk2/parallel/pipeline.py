"""Pipeline parallel: ranks hold consecutive parts of the network and pass hidden states on.

A step's micro-batches go through the parts in turn, each backward pass as early as possible (1F1B).
Several parts a rank are interleaved, which shortens the wait at both ends of the step (report 2.4).
With a zero bubble, weight gradients are computed separately, where a rank would wait for a message.
Torch's pipelining runs the schedule: docs/design/pipeline.md.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard

from openk2.model import K2Model, Observation
from openk2.parallel.fleet import Fleet
from openk2.parallel.layout import Layout
from openk2.parallel.stage import Part, Stage, parts_of

if TYPE_CHECKING:
    from torch.distributed.pipelining import PipelineStage
    from torch.distributed.pipelining.schedules import PipelineScheduleMulti, PipelineScheduleSingle

    Schedule = PipelineScheduleSingle | PipelineScheduleMulti

# Given the head, final hidden states [B, T, hidden] and goals [B, T, ...]: a part of the step's
# loss.
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def bubble_fraction(
    pipeline: int, virtual: int, micro_batches: int, zero_bubble: bool = False
) -> float:
    """The share of a step in which a rank has nothing to compute.

    (p - 1) / (v m + p - 1): while the first micro-batch comes down and the last one goes up, a rank
    waits p - 1 times for one stage's forward and backward pass, which is 1 / v of its share of the
    network; m times v of them are work. With `zero_bubble` it waits for a third of that, if
    forward pass, backward pass to inputs and to weights cost the same. Messages are taken to cost
    nothing, stages to be equal.
    """
    work = virtual * micro_batches * (3 if zero_bubble else 1)
    return (pipeline - 1) / (work + pipeline - 1)


def check_micro_batches(layout: Layout, micro_batches: int) -> None:
    """Raise ValueError if the layout's schedule cannot run so many micro-batches."""
    ranks = layout.pipeline
    if micro_batches < ranks:
        raise ValueError(
            f"{micro_batches} micro-batches a data rank do not fill layout.pipeline {ranks}: take "
            "more rows, fewer micro_rows or fewer pipeline ranks"
        )
    rounds = micro_batches // ranks
    if (layout.virtual > 1 or layout.zero_bubble) and micro_batches % rounds:
        raise ValueError(
            f"{micro_batches} micro-batches a data rank make no {rounds} equal rounds over "
            f"layout.pipeline {ranks}, as interleaved stages need: take a multiple of {ranks}"
        )


class Pipeline:
    """This rank's parts of the network, run in a schedule with the other ranks.

    model: holds this rank's parts, as `keep_parts` leaves it. micro_rows: rows a micro-batch.
    hidden: dtype of hidden states between layers. autocast: dtype of matrix products; None computes
    in the parameters' own.
    """

    def __init__(
        self,
        model: K2Model,
        fleet: Fleet,
        *,
        micro_rows: int,
        hidden: torch.dtype = torch.float32,
        autocast: torch.dtype | None = None,
    ) -> None:
        self.model, self.fleet = model, fleet
        self.micro_rows, self.hidden, self.autocast = micro_rows, hidden, autocast
        parts = parts_of(model.config, fleet.layout, fleet.pipeline_rank)
        self.stages = {part: Stage(model, part, autocast) for part in parts}
        if fleet.layout.zero:
            # Their layers are sharded already. As units around the layers, stages tell torch's
            # schedule to reduce gradients over the data ranks once, at the end of a step.
            for stage in self.stages.values():
                fully_shard(stage, mesh=fleet.data_mesh, reshard_after_forward=False)
        self.schedule: tuple[torch.Size, Schedule] | None = None

    def run(
        self,
        tokens: Tensor,
        segments: Tensor,
        goals: Tensor,
        *,
        loss: Loss,
        observation: Observation,
    ) -> Tensor:
        """Add the gradients of `loss`, summed over micro-batches, to the parameters'.

        tokens, segments [B, T], goals [B, T, ...]: the same on every rank, so that only hidden
        states travel. loss: computed by whoever holds the last part. Returns it, a scalar; zero
        on ranks without that part.
        """
        if self.schedule is None or self.schedule[0] != tokens.shape:
            rows, length = tokens.shape
            self.schedule = tokens.shape, self.scheduled(rows, length, tokens.device)
        first = any(part.first for part in self.stages)
        last = any(part.last for part in self.stages)
        losses: list[Tensor] = []
        self.schedule[1].step(
            *((tokens,) if first else ()),
            segments=segments,
            observation=observation,
            target=goals if last else None,
            losses=losses,
            loss_kwargs={"loss": loss},
            return_outputs=False,
        )
        zero = torch.zeros((), device=tokens.device)
        return torch.stack([zero, *losses]).sum().detach()

    def scheduled(self, rows: int, length: int, device: torch.device) -> "Schedule":
        """Torch's schedule for batches of this shape. The ranks of the group make it together."""
        # Here, not above: a second of imports that a run without a pipeline need not wait for.
        from torch.distributed.pipelining import (
            Schedule1F1B,
            ScheduleInterleaved1F1B,
            ScheduleInterleavedZeroBubble,
        )

        micro_batches = rows // self.micro_rows
        check_micro_batches(self.fleet.layout, micro_batches)
        stages: list[Any] = [self.described(part, length, device) for part in self.stages]
        settings: dict[str, Any] = {
            "n_microbatches": micro_batches,
            "loss_fn": self.part_of_loss,
            "scale_grads": False,  # summed over micro-batches, not averaged: the loss is a sum
        }
        if self.fleet.layout.zero_bubble:
            return ScheduleInterleavedZeroBubble(stages, **settings)
        if len(stages) > 1:
            return ScheduleInterleaved1F1B(stages, **settings)
        return Schedule1F1B(stages[0], **settings)

    def described(self, part: Part, length: int, device: torch.device) -> "PipelineStage":
        """A part as torch's schedule needs it: its module, and the shapes of its messages.

        Torch could find the shapes by a trial pass, but `Observation` would record that.
        """
        from torch.distributed.pipelining import PipelineStage

        tokens = torch.empty(self.micro_rows, length, dtype=torch.int64, device="meta")
        hidden = torch.empty(
            *tokens.shape,
            self.model.config.hidden_size,
            dtype=self.hidden,
            device="meta",
            requires_grad=True,
        )
        return PipelineStage(
            self.stages[part],
            part.number,
            part.count,
            device,
            input_args=tokens if part.first else hidden,
            output_args=hidden,
            group=self.fleet.group("pipeline"),
        )

    def part_of_loss(self, hidden: Tensor, goals: Tensor, *, loss: Loss) -> Tensor:
        """A micro-batch's part of the loss, [], from the last part's result.

        hidden: [B, T, hidden]. goals: [B, T, ...], see `Loss`.
        """
        with torch.autocast(hidden.device.type, self.autocast, enabled=self.autocast is not None):
            return loss(self.model.lm_head, hidden, goals)
