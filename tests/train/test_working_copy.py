"""bfloat16 weights with float32 masters: what is added up, what is rounded, what goes on."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from openk2.checkpoint import load_model
from openk2.config import read_recipe
from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.model.dispatch import Arrived, here
from openk2.record.metrics import read_metrics
from openk2.train.loop import train
from openk2.train.loss import StepLoss
from openk2.train.memory import passes_in
from openk2.train.passes import MicroBatches
from openk2.train.recipe import Memory, Recipe
from tiny import TINY

ROWS = 64


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    # The same few rows again and again: gradients that add up, as those of real data do in part.
    tokens = torch.randint(0, 64, (4, 12), generator=generator).repeat(ROWS // 4, 1)
    return Batch(
        tokens, torch.zeros_like(tokens), tokens.roll(-1, 1), torch.ones_like(tokens).byte()
    )


def gradients(memory: Memory, model: K2Model) -> dict[str, Tensor]:
    passes = passes_in(memory, model, lambda network: MicroBatches(network, 1, torch.bfloat16))
    passes.gradients(batch(), StepLoss(100.0), Observation(TINY))
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def sums_in_float64(model: K2Model) -> dict[str, Tensor]:
    """The gradients of single micro-batches of the rounded network, added up exactly."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        parameter.data = parameter.data.bfloat16()
    whole, passes = batch(), MicroBatches(rounded, 1, torch.bfloat16)
    sums: dict[str, Tensor] = {}
    for row in range(ROWS):
        one = slice(row, row + 1)
        part = Batch(*(column[one] for column in whole.columns))
        passes.gradients(part, StepLoss(100.0), Observation(TINY))
        for name, parameter in rounded.named_parameters():
            if parameter.grad is not None:
                sums[name] = sums.get(name, torch.zeros(())) + parameter.grad.double()
                parameter.grad = None
    return sums


def test_a_float32_sum_is_exact_where_a_bfloat16_sum_is_not() -> None:
    model = K2Model(TINY).initialize(0)
    exact = sums_in_float64(model)
    errors = {}
    for dtype in ("float32", "bfloat16"):
        model.zero_grad()
        found = gradients(Memory(parameters="bfloat16", gradients=dtype), model)
        assert found.keys() == exact.keys()
        assert all(gradient.dtype == torch.float32 for gradient in found.values())
        errors[dtype] = [float((found[n] - g).norm() / g.norm()) for n, g in exact.items()]
    assert max(errors["float32"]) < 1e-5
    assert min(errors["bfloat16"]) > 1e-3
    assert max(errors["bfloat16"]) > 1e-2


def test_the_copy_follows_its_masters_and_computes_with_their_rounding() -> None:
    model = K2Model(TINY).initialize(0)
    made: list[K2Model] = []

    def over(network: K2Model) -> MicroBatches:
        made.append(network)
        return MicroBatches(network, 32)

    passes = passes_in(Memory(parameters="bfloat16"), model, over)
    with torch.no_grad():
        model.lm_head.weight.mul_(1.001)  # less than bfloat16 shows
    bias = model.model.layers[1].mlp.gate.e_score_correction_bias
    bias.fill_(0.0003)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    passes.gradients(batch(), StepLoss(100.0), Observation(TINY))
    (working,) = made
    for name, tensor in working.state_dict().items():
        assert torch.equal(model.state_dict()[name], before[name]), name
        assert torch.equal(tensor, before[name].to(tensor.dtype)), name
    assert {p.dtype for p in working.parameters()} == {torch.bfloat16}
    assert {b.dtype for b in working.buffers()} == {torch.float32}
    assert all(p.grad is None for p in working.parameters())


def test_the_copy_reaches_experts_as_its_masters_do() -> None:
    class Elsewhere:
        """As a process group, it cannot be copied."""

        def __deepcopy__(self, memo: object) -> None:
            raise TypeError("cannot be copied")

        def __call__(self, rows: Tensor, counts: Tensor) -> Arrived:
            calls.append(len(rows))
            return here(rows, counts)

    calls: list[int] = []
    model = K2Model(TINY).initialize(0)
    model.model.layers[1].mlp.experts.dispatch = Elsewhere()
    gradients(Memory(parameters="bfloat16"), model)
    assert sum(calls) == ROWS * 12 * 2


@pytest.mark.parametrize("gradients", ["float32", "bfloat16"])
def test_a_run_with_bfloat16_parameters_learns_and_resumes_bit_exactly(
    material: Path, tmp_path: Path, gradients: str
) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    recipe = dataclasses.replace(
        recipe,
        memory=Memory("bfloat16", gradients),
        optimization=dataclasses.replace(recipe.optimization, products="bfloat16"),
    )
    whole = train(recipe, tmp_path / "whole")

    class Interruption(Exception):
        pass

    def interrupt(progress: object) -> None:
        if progress.step == 5:
            raise Interruption

    with pytest.raises(Interruption):
        train(recipe, tmp_path / "parts", show=interrupt)
    parts = train(recipe, tmp_path / "parts")
    one, other = (load_model(folder, dtype=torch.float32).state_dict() for folder in (whole, parts))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    losses = [row["loss"] for row in read_metrics(tmp_path / "whole" / "metrics.jsonl")]
    assert losses[-1] < losses[0] - 0.5
