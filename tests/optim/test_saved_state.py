"""State dicts: what is saved is restored whole, or nothing changes."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from openk2.optim import MuonClip


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 5, bias=False))


def made(model: nn.Module) -> MuonClip:
    return MuonClip(model.named_parameters(), lr=0.1, tau=100.0, adamw=())


def step(model: nn.Module, optimizer: MuonClip, seed: int) -> None:
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(seed))
    model(x).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_a_restored_optimizer_goes_on_bit_for_bit() -> None:
    first, second = network(), network()
    ours = made(first)
    step(first, ours, 1)
    second.load_state_dict(first.state_dict())
    theirs = made(second)
    theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
    for model, optimizer in ((first, ours), (second, theirs)):
        step(model, optimizer, 2)
    for mine, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_state_of_before_the_first_step_is_restored() -> None:
    model = network()
    optimizer = made(model)
    fresh = copy.deepcopy(optimizer.state_dict())
    step(model, optimizer, 1)
    optimizer.load_state_dict(fresh)
    assert not optimizer.state


@pytest.mark.parametrize("lost", [1, 2])
def test_lost_entries_are_counted_and_nothing_changes(lost: int) -> None:
    model = network()
    optimizer = made(model)
    step(model, optimizer, 1)
    saved: dict[str, Any] = copy.deepcopy(optimizer.state_dict())
    group = max(saved["param_groups"], key=lambda group: len(group["params"]))
    for number in group["params"][:lost]:
        del saved["state"][number]
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ValueError, match=f"the state of {lost} parameters is missing"):
        optimizer.load_state_dict(saved)
    after = optimizer.state_dict()
    assert after["state"].keys() == before["state"].keys()
