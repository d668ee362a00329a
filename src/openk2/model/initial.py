"""The numbers that a matrix starts with: a function of the seed and its published name alone.

So every process of a run draws what it holds, whatever that is, and the network is the same however
it is shared out.
"""

import hashlib

import torch
from torch import Tensor


@torch.no_grad()
def draw(matrices: Tensor, name: str, seed: int, deviation: float, first: int = 0) -> None:
    """Fill a matrix, or a stack [E, n, m] of which each is drawn apart, from normal(0, deviation).

    name: the parameter's. first: the number, in the whole stack, of the first one here.
    """
    if matrices.ndim < 3:
        matrices.normal_(0.0, deviation, generator=generator(name, seed, matrices.device))
        return
    for number, matrix in enumerate(matrices, first):
        draw(matrix, f"{name}.{number}", seed, deviation)


def generator(name: str, seed: int, device: torch.device) -> torch.Generator:
    """Its own stream of numbers for each name and seed."""
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little", signed=True))
