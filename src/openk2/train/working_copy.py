"""A bfloat16 working copy of float32 master weights (report 2.4).

The copy is refreshed before every step. Autograd makes its gradients in bfloat16; a bfloat16 sum of
many small ones would lose most of them, so each is added to a float32 sum at once and dropped.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openk2.data import Batch
from openk2.model import Observation
from openk2.train.loss import StepLoss
from openk2.train.passes import Passes


@dataclass(frozen=True)
class WorkingCopy:
    """Passes over `copy` whose gradients go to `masters`, the same network in float32."""

    passes: Passes
    masters: nn.Module
    copy: nn.Module

    def gradients(self, batch: Batch, loss: StepLoss, observation: Observation) -> Tensor:
        """See `Passes`: the gradients are left in the masters' parameters (report 2.4)."""
        publish(self.masters, self.copy)
        total = self.passes.gradients(batch, loss, observation)
        for master, parameter in zip(
            self.masters.parameters(), self.copy.parameters(), strict=True
        ):
            move_gradient(parameter, master)
        return total


def narrow(masters: nn.Module, copy: nn.Module, gradients: torch.dtype) -> None:
    """Make `copy`, a copy of `masters`, bfloat16 in its parameters; its buffers stay float32.

    gradients: the dtype in which they are added up over a step's backward passes. float32: each is
    moved to the masters as it comes. bfloat16: they add up in the copy.
    """
    for master, parameter in zip(masters.parameters(), copy.parameters(), strict=True):
        parameter.data = parameter.data.to(torch.bfloat16)
        if gradients == torch.float32:
            parameter.register_post_accumulate_grad_hook(moving_to(master))


def moving_to(master: nn.Parameter) -> Callable[[Tensor], None]:
    """A hook that adds a parameter's gradient to its master's.

    master: of any shape; the hook is given the parameter, of the same shape.
    """
    return lambda parameter: move_gradient(parameter, master)


@torch.no_grad()
def move_gradient(parameter: Tensor, master: Tensor) -> None:
    """Add the gradient of `parameter`, if it has one, to that of `master`, in float32.

    Both of one shape, any.
    """
    if parameter.grad is None:
        return
    if master.grad is None:
        master.grad = parameter.grad.float()
    else:
        master.grad.add_(parameter.grad)
    parameter.grad = None


@torch.no_grad()
def publish(masters: nn.Module, copy: nn.Module) -> None:
    """Round the masters' parameters into the copy; copy buffers unchanged."""
    for master, parameter in zip(masters.parameters(), copy.parameters(), strict=True):
        parameter.copy_(master)
    for own, buffer in zip(masters.buffers(), copy.buffers(), strict=True):
        buffer.copy_(own)
