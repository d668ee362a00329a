"""The initial values of a parameter: a function of the seed and its published name alone.

Every process of a run draws what it holds, and the network is the same however it is sharded.
"""

import hashlib

import torch
from torch import Tensor


@torch.no_grad()
def initialise(
    name: str, rows: Tensor, first: int, total: int, seed: int, deviation: float
) -> None:
    """Fill rows [first : first + len(rows)] of parameter `name`, which has `total`.

    Norms are 1; a matrix is drawn from normal(0, deviation), and so is each of a stack [E, n, m].
    Of a matrix whose rows are not all here the whole is drawn for a moment.
    """
    if "norm" in name:
        rows.fill_(1.0)
    elif rows.ndim > 2:
        for number, matrix in enumerate(rows, first):
            draw_matrix(f"{name}.{number}", matrix, seed, deviation)
    elif len(rows) == total:
        draw_matrix(name, rows, seed, deviation)
    else:
        whole = rows.new_empty(total, *rows.shape[1:])
        draw_matrix(name, whole, seed, deviation)
        rows.copy_(whole[first : first + len(rows)])


def draw_matrix(name: str, matrix: Tensor, seed: int, deviation: float) -> None:
    """Fill a whole matrix [out, in] from its own stream of numbers."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    number = int.from_bytes(digest[:8], "little", signed=True)
    generator = torch.Generator(matrix.device).manual_seed(number)
    matrix.normal_(0.0, deviation, generator=generator)
