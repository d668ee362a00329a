"""Bytes of states against the report's and a real optimizer's."""

import dataclasses
from pathlib import Path

import pytest
import torch

from openk2.architecture import ModelConfig, count_parameters
from openk2.config import read_recipe
from openk2.model import K2Model
from openk2.optim import MuonClip
from openk2.parallel import Layout
from openk2.parallel.stage import cut, parts_of
from openk2.plan.states import HeldParameter, States, held_parameters, state_bytes
from openk2.train.recipe import Memory, Recipe
from tiny import PLANNED

K2 = Path("recipes/k2")


GB = 1e9


@pytest.fixture(scope="module")
def k2() -> tuple[Recipe, ModelConfig]:
    recipe = read_recipe(K2 / "pretrain.toml", Recipe)
    assert recipe.shape is not None
    return recipe, ModelConfig(**dataclasses.asdict(recipe.shape), vocab_size=163840)


@pytest.fixture(scope="module")
def k2_ranks(k2: tuple[Recipe, ModelConfig]) -> list[list[HeldParameter]]:
    """What the 16 pipeline ranks of 256 GPUs hold."""
    recipe, config = k2
    parts = cut(config, recipe.layout.pipeline * recipe.layout.virtual)
    return [held_parameters(config, recipe.layout, 256, parts[r::16]) for r in range(16)]


def on(gpus: int, ranks: list[list[HeldParameter]]) -> list[list[HeldParameter]]:
    """The same, held by as many more data ranks."""
    more = gpus // 256
    return [[dataclasses.replace(p, copies=p.copies * more) for p in held] for held in ranks]


def states_on(gpus: int, ranks: list[list[HeldParameter]], recipe: Recipe) -> list[States]:
    return [state_bytes(held, 1, recipe.memory) for held in on(gpus, ranks)]


def test_the_ranks_hold_k2_and_its_bf16_weights_and_float32_gradients_are_6_tb(
    k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    recipe, config = k2
    once = sum(p.numbers * p.apart for held in k2_ranks for p in held)
    biases = 60 * 384  # buffers
    assert once + biases == count_parameters(config).total == 1_026_408_232_448
    states = [
        state_bytes([dataclasses.replace(p, copies=1)], 1, recipe.memory)
        for held in k2_ranks
        for p in held
    ]
    ways = [p.apart for held in k2_ranks for p in held]
    total = sum((s.parameters + s.gradients) * w for s, w in zip(states, ways, strict=True))
    assert total == pytest.approx(6.16e12, rel=0.001)  # "about 6 TB"
    assert total / 256 == pytest.approx(24.06 * GB, rel=0.001)


@pytest.mark.parametrize(("gpus", "expected"), [(256, 56.1), (1024, 32.1), (2048, 28.1)])
def test_with_the_optimizer_in_shards_a_k2_gpu_holds_the_reports_bytes(
    gpus: int, expected: float, k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    recipe, _ = k2
    optimizer = [s.optimizer for s in states_on(gpus, k2_ranks, recipe)]
    mean = sum(optimizer) / 16 / GB
    assert 24.06 + mean == pytest.approx(expected, rel=0.01)


def test_about_30_gb_of_all_states_come_out_at_2048_gpus_with_what_ranks_hold_alike(
    k2: tuple[Recipe, ModelConfig], k2_ranks: list[list[HeldParameter]]
) -> None:
    totals = [s.total / GB for s in states_on(2048, k2_ranks, k2[0])]
    assert 28 < sum(totals) / 16 < 33
    assert max(s.total / GB for s in states_on(256, k2_ranks, k2[0])) > 56


def test_the_states_of_one_process_are_those_of_a_real_step() -> None:
    model = K2Model(PLANNED).initialize(0)
    optimizer = MuonClip(model.named_parameters())
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    held = held_parameters(PLANNED, Layout(), 1, parts_of(PLANNED, Layout(), 0))
    planned = state_bytes(held, 0, Memory())
    real = [t.nbytes for t in optimizer.state_tensors().values()]
    assert planned.optimizer == sum(real)
    assert planned.parameters == sum(p.nbytes for p in model.parameters())
    assert planned.gradients == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


def test_bfloat16_weights_have_float32_masters_and_momentum_under_zero_1() -> None:
    parameter = HeldParameter("w", (10, 4), copies=4, apart=1, muon=True)
    states = state_bytes([parameter], 1, Memory(parameters="bfloat16"))
    assert (states.parameters, states.gradients) == (2 * 40, 4 * 40)
    assert states.masters == states.momentum == 4 * 3 * 4  # ceil(10 / 4) rows
