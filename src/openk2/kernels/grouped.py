"""`grouped_product`: each group of rows times its own matrix, without the host knowing the groups.

torch's `grouped_mm` reads the groups' ends where they are, so a GPU's queue does not run dry in
every layer while the host counts rows. `grouped_loop` is the plain twin: a product a group.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# A row of either operand must begin at a multiple of this in a GPU's grouped product.
ALIGNMENT = 16  # bytes
# The generations of GPUs that torch 2.13 has a grouped kernel for (Hopper, Blackwell). On others
# `grouped_mm` is a loop too, after copying the groups' ends to the host.
WITH_KERNEL = (9, 10)


def grouped_product(rows: Tensor, stack: Tensor, ends: Tensor) -> Tensor:
    """rows [M, in], sorted by group; stack [E, out, in] of the same dtype -> [M, out].

    ends: int32 [E], the row at which each group ends; the last is M.
    """
    if has_grouped_kernel(rows, stack):
        product: Tensor = F.grouped_mm(rows, stack.mT, offs=ends)
        return product
    return grouped_loop(rows, stack, ends)


def has_grouped_kernel(rows: Tensor, stack: Tensor) -> bool:
    """Whether `grouped_mm` takes rows [M, in] and stack [E, out, in] as they are.

    A CPU takes every dtype (torch has a loop in C++). A GPU WITH_KERNEL takes bfloat16 with aligned
    rows. Elsewhere the loop runs, and the host waits for `ends` at every product.
    """
    if rows.is_cpu:
        return True
    aligned = all(size * rows.element_size() % ALIGNMENT == 0 for size in stack.shape[1:])
    if rows.dtype != torch.bfloat16 or not aligned:
        return False
    return not rows.is_cuda or torch.cuda.get_device_capability(rows.device)[0] in WITH_KERNEL


def grouped_loop(rows: Tensor, stack: Tensor, ends: Tensor) -> Tensor:
    """`grouped_product` [M, out], one product after the other; the host waits for `ends` [E]."""
    start, result = 0, rows.new_empty(len(rows), stack.shape[1])
    for matrix, end in zip(stack, ends.tolist(), strict=True):
        result[start:end] = F.linear(rows[start:end], matrix)
        start = end
    return result
