"""Muon's update of a batch of matrices, as a compiler sees it."""

import shutil

import pytest
import torch
from torch import Tensor

from openk2.optim import QUINTIC
from openk2.optim.muon.update import MuonSettings, Stack, update_batch, update_here

SETTINGS = MuonSettings(
    lr=1e-2,
    momentum=0.95,
    weight_decay=0.1,
    nesterov=True,
    ns_steps=5,
    coefficients=QUINTIC,
    ns_dtype=torch.float32,
)


def stacks(seed: int) -> list[Stack]:
    generator = torch.Generator().manual_seed(seed)

    def numbers(count: int) -> Tensor:
        return torch.randn(count, 6, 10, generator=generator)

    return [Stack((6, 10), *(numbers(count) for _ in range(3))) for count in (1, 3)]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_update_gives_the_same_numbers_in_one_graph() -> None:
    compiled = torch.compile(update_batch, fullgraph=True)
    one, other = stacks(0), stacks(0)
    for _ in range(3):
        update_batch(one, SETTINGS)
        compiled(other, SETTINGS)
    for plain, fast in zip(one, other, strict=True):
        torch.testing.assert_close(fast.momentum, plain.momentum)
        torch.testing.assert_close(fast.weights, plain.weights, atol=1e-5, rtol=1e-5)


def test_a_rank_without_matrices_updates_nothing() -> None:
    """As of a stack of fewer matrices than ranks."""
    update_here([Stack((6, 10), *(torch.empty(0, 6, 10) for _ in range(3)))], SETTINGS)
