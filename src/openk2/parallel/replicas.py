"""Data parallel: the same network in several processes, each with a share of a step's rows.

torchrun starts the processes, PyTorch Distributed joins them. On a CPU, two processes of one thread
train faster than one of two threads: most of a small model's operations do not use two threads
well. The network and the optimizer know nothing of this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Replicas:
    """This process among its likes: number `rank`, from 0, of `count`."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls, device: str) -> "Replicas":
        """Meet the other processes that torchrun started; returns when all are there."""
        dist.init_process_group("nccl" if torch.device(device).type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of `items`, every `count`-th."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            dist.barrier()

    def add(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over the processes, everywhere the same to the last bit."""
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.SUM)

    def maximum(self, tensor: Tensor) -> None:
        """Replace `tensor` by its largest values over the processes."""
        if self.count > 1:
            dist.all_reduce(tensor, dist.ReduceOp.MAX)

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum every gradient over the processes, in one message.

        A parameter without a gradient counts as zeros, so that all processes send the same shape.
        """
        if self.count == 1:
            return
        owners = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in owners:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.flatten() for p in owners if p.grad is not None])
        self.add(flat)
        pieces = flat.split([parameter.numel() for parameter in owners])
        for parameter, piece in zip(owners, pieces, strict=True):
            parameter.grad = piece.view_as(parameter)


ALONE = Replicas()
