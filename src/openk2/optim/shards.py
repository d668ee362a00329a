"""The part of a sharded tensor that this process holds (`fully_shard`'s DTensors).

Muon needs whole matrices. It accepts tensors sharded along their first dimension: a stack is then
split into whole matrices, a matrix into rows.
"""

import math
import sys
from typing import TYPE_CHECKING, TypeGuard

import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_sharded(tensor: Tensor) -> "TypeGuard[DTensor]":
    """Whether a tensor of any shape is a DTensor."""
    # Importing DTensor takes a second; a process that has not imported it holds none.
    tensors = sys.modules.get("torch.distributed.tensor")
    return tensors is not None and isinstance(tensor, tensors.DTensor)


def local(tensor: Tensor) -> Tensor:
    """This process's part, or the tensor itself if it is not sharded; the same memory.

    Of a tensor [rows, ...] sharded by rows the part is [rows here, ...].
    """
    return tensor.to_local() if is_sharded(tensor) else tensor


def local_gradient(parameter: Tensor) -> Tensor:
    """This process's part of a parameter's gradient, of the shape of `local(parameter)`.

    A gradient that is placed otherwise than its parameter, such as a sum that the ranks have yet to
    add up, is replaced by one with the parameter's placements: a message, which every rank of the
    mesh must take part in.
    """
    gradient = parameter.grad
    assert gradient is not None
    if is_sharded(parameter) and is_sharded(gradient):
        if gradient.placements != parameter.placements:
            gradient = gradient.redistribute(placements=parameter.placements)
            parameter.grad = gradient
        return gradient.to_local()
    return local(gradient)


def rows_of(total: int, ranks: int, rank: int) -> range:
    """Which of `total` rows a rank holds; the last ranks may have fewer, or none."""
    most = -(-total // ranks)
    return range(min(rank * most, total), min((rank + 1) * most, total))


def splitting(tensor: Tensor) -> tuple[dist.ProcessGroup, int] | None:
    """The process group that shares the tensor's rows and this rank in it; None if not sharded.

    tensor: [rows, ...]. Raises ValueError if it is sharded along another dimension, or more than
    once.
    """
    if not is_sharded(tensor):
        return None
    from torch.distributed.tensor import Shard

    mesh = tensor.device_mesh
    sharded = [i for i, p in enumerate(tensor.placements) if not p.is_replicate()]
    sharded = [i for i in sharded if mesh.size(i) > 1]
    along = [tensor.placements[i] for i in sharded]
    # A subclass of Shard is another order of rows.
    if not all(type(p) is Shard and isinstance(p, Shard) and p.dim == 0 for p in along):
        raise ValueError(
            f"a tensor {list(tensor.shape)} has placements {tensor.placements}: shard it along its "
            "first dimension only"
        )
    if len(sharded) > 1:
        raise ValueError(
            f"a tensor {list(tensor.shape)} is sharded over {len(sharded)} mesh dimensions: shard "
            "its first dimension over one"
        )
    if not sharded:
        return None
    return mesh.get_group(sharded[0]), mesh.get_local_rank(sharded[0])


def sharing_groups(tensor: Tensor) -> tuple[dist.ProcessGroup, ...]:
    """The process groups over which a tensor of any shape is divided; none if all of it is here.

    A sum over its numbers is the local sum, added over each of these groups in turn.
    """
    if not is_sharded(tensor):
        return ()
    mesh = tensor.device_mesh
    divided = [i for i, p in enumerate(tensor.placements) if not p.is_replicate()]
    return tuple(mesh.get_group(i) for i in divided if mesh.size(i) > 1)


def replicas(tensor: Tensor) -> int:
    """How many ranks of its mesh hold each part of a sharded tensor: 1 unless it is replicated.

    tensor: of any shape.
    """
    if not is_sharded(tensor):
        return 1
    mesh = tensor.device_mesh
    return math.prod(mesh.size(i) for i, p in enumerate(tensor.placements) if p.is_replicate())


def local_rows(tensor: Tensor) -> range:
    """Which rows of a tensor [rows, ...] `local` gives."""
    split = splitting(tensor)
    if split is None:
        return range(tensor.shape[0])
    group, rank = split
    return rows_of(tensor.shape[0], group.size(), rank)
