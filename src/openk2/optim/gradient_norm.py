"""The global norm of gradients that many ranks hold together, and clipping by it."""

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils import get_total_norm

from openk2.optim.rounding import is_narrow
from openk2.optim.shards import local_gradient, sharing_groups


@torch.no_grad()
def clip_gradients(
    parameters: Iterable[Tensor],
    limit: float,
    *,
    group: dist.ProcessGroup | None = None,
    copies: Callable[[Tensor], int] = lambda _: 1,
) -> Tensor:
    """Scale all gradients by one factor so that their norm is at most `limit`.

    group: the ranks that hold the model together: one message over them. None: the squares of a
        sharded gradient are summed over its own mesh, as torch's `clip_grad_norm_` does; any other
        gradient is whole on this rank.
    copies: how many of `group` hold the same copy of a parameter that is held here.
    Returns the norm before, float32 [], the same to the last bit on every rank. It is not finite if
    any gradient is not; then no gradient is changed.
    """
    held: dict[tuple[int, tuple[dist.ProcessGroup, ...]], list[Tensor]] = {}
    device = torch.device("cpu")
    for parameter in parameters:
        sharing = sharing_groups(parameter) if group is None else ()
        # Also for a parameter without a gradient: every rank must send the same messages.
        gradients = held.setdefault((copies(parameter), sharing), [])
        device = parameter.device
        if parameter.grad is not None:
            gradients.append(local_gradient(parameter))
    square = torch.zeros((), device=device)
    for (count, sharing), gradients in held.items():
        part = total_norm(gradients).to(device).square() / count
        for ranks in sharing:
            dist.all_reduce(part, group=ranks)
        square += part
    if group is not None:
        dist.all_reduce(square, group=group)
    norm = square.sqrt()
    factor = (limit / (norm + 1e-6)).clamp(max=1.0)
    factor = torch.where(norm.isfinite(), factor, torch.ones_like(factor))
    for gradients in held.values():
        for gradient in gradients:
            # With dimensions the factor counts for the dtype: 16 bits are multiplied in float32.
            gradient.mul_(factor.to(gradient.device).view((1,) * gradient.ndim))
    return norm


def total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """The norm of all `gradients`, of any shapes, together: float32 [].

    That of a 16-bit tensor is computed in float32, because its dtype may not hold it.
    """
    parts = [
        torch.linalg.vector_norm(each, dtype=torch.float32) if is_narrow(each) else each
        for each in gradients
    ]
    return get_total_norm(parts).float()
