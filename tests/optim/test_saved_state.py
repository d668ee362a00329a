"""State dicts: what is saved is restored whole, or nothing changes."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from openk2.optim import MuonClip


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 5, bias=False))


def made(model: nn.Module, **settings: Any) -> MuonClip:
    return MuonClip(model.named_parameters(), lr=0.1, tau=100.0, adamw=(), **settings)


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


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("full_state_dict",),
        ("cpu_offload",),
        ("full_state_dict", "cpu_offload"),
        ("flatten_optimizer_state_dict",),
    ],
)
def test_a_distributed_checkpoint_is_read_and_restored_with_any_options(
    options: tuple[str, ...],
) -> None:
    first, second = network(), network()
    ours, theirs = made(first), made(second)
    step(first, ours, 1)
    chosen = StateDictOptions(**dict.fromkeys(options, True))
    state = copy.deepcopy(get_optimizer_state_dict(first, ours, options=chosen))
    set_optimizer_state_dict(second, theirs, state, options=chosen)
    for group, other in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert group["momentum_dtype"] is other["momentum_dtype"] is torch.float32
        assert group["ns_dtype"] is other["ns_dtype"] is torch.bfloat16
    mine, restored = ours.state_tensors(), theirs.state_tensors()
    assert mine.keys() == restored.keys()
    assert all(torch.equal(mine[name], restored[name]) for name in mine)


def test_dtypes_are_saved_by_name_and_older_states_still_read() -> None:
    model = network()
    optimizer = made(model, momentum_dtype=torch.bfloat16)
    saved = copy.deepcopy(optimizer.state_dict())
    assert {group["momentum_dtype"] for group in saved["param_groups"]} == {"bfloat16"}
    older = copy.deepcopy(saved)
    for group in older["param_groups"]:
        group |= {"momentum_dtype": torch.bfloat16, "ns_dtype": torch.bfloat16}
    for state in (saved, older):
        again = made(model)
        again.load_state_dict(state)
        assert {group["momentum_dtype"] for group in again.param_groups} == {torch.bfloat16}
    saved["param_groups"][0]["ns_dtype"] = "bfloat17"
    with pytest.raises(ValueError, match="ns_dtype is 'bfloat17' in the state"):
        optimizer.load_state_dict(saved)


LAYERS = ("first", "second", "third")


def stage(*names: str) -> nn.ModuleDict:
    """Layers of one network, as a rank of a pipeline holds them."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.ModuleDict({name: nn.Linear(4, 6) for name in names})


def trained(*names: str) -> tuple[nn.ModuleDict, MuonClip]:
    layers = stage(*names)
    optimizer = made(layers)
    for name in names:
        for parameter in layers[name].parameters():
            parameter.grad = torch.full_like(parameter, LAYERS.index(name))
    optimizer.step()
    optimizer.zero_grad()
    return layers, optimizer


def assert_restored(optimizer: MuonClip) -> None:
    states = optimizer.state_tensors()
    weights = [owner.name for owner in optimizer.owners if owner.owner == "muon"]
    for name in weights:
        momentum = states[f"{name}.momentum"]
        assert momentum.unique().tolist() == [LAYERS.index(name.removesuffix(".weight"))]


@pytest.mark.parametrize(
    "split", [[("first",), ("second", "third")], [("first", "second", "third")]]
)
def test_a_flattened_state_is_restored_in_another_split_of_the_network(
    split: list[tuple[str, ...]],
) -> None:
    """As `flatten_optimizer_state_dict` is meant: stages of two and one become others."""
    flat = StateDictOptions(flatten_optimizer_state_dict=True)
    saved: dict[str, Any] = {}
    for part in (("first", "second"), ("third",)):
        saved |= get_optimizer_state_dict(*trained(*part), options=flat)
    for part in split:
        layers = stage(*part)
        optimizer = made(layers)
        set_optimizer_state_dict(layers, optimizer, saved, options=flat)
        assert_restored(optimizer)


def test_an_optimizer_that_has_its_parameters_in_another_order_gets_its_own_state() -> None:
    """torch gives the state in the order of the one that loads, with the names of the other."""
    saved = get_optimizer_state_dict(*trained("first", "second", "third"))
    layers = stage("third", "second", "first")
    optimizer = made(layers)
    set_optimizer_state_dict(layers, optimizer, saved)
    assert_restored(optimizer)


def test_a_state_with_names_for_other_parameters_is_refused() -> None:
    _, optimizer = trained("first", "second")
    saved = copy.deepcopy(optimizer.state_dict())
    saved["param_groups"][0]["param_names"].pop()
    with pytest.raises(ValueError, match="has 2 parameters in the state and names for 1"):
        optimizer.load_state_dict(saved)
