import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openk2.data import Role
from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.optim import MuonClip
from openk2.train.loss import IGNORED, StepLoss
from openk2.train.loss_weights import LossWeights
from openk2.train.passes import MicroBatches
from openk2.train.step import StepReport, TrainingError, train_step
from tiny import TINY

WEIGHTS = LossWeights(structure=0.5, names=2.0, keys=0.0, values=4.0)


def batch_of(rows: int = 4, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 64, (rows, 12), generator=generator)
    roles = torch.randint(0, 5, (rows, 12), generator=generator).byte()
    targets = torch.randint(0, 64, (rows, 12), generator=generator)
    targets[roles == 0] = IGNORED
    return Batch(tokens, torch.zeros_like(tokens), targets, roles)


def nll_of(model: K2Model, batch: Batch) -> list[tuple[Role, Tensor]]:
    """Each learned token's role and nats, one token at a time."""
    logits = model.lm_head(model(batch.tokens)).log_softmax(-1)
    return [
        (Role(int(batch.roles[row, place])), -logits[row, place, int(target)])
        for row, targets in enumerate(batch.targets)
        for place, target in enumerate(targets)
        if target != IGNORED
    ]


def step(model: K2Model, batch: Batch, weights: LossWeights) -> StepReport:
    optimizer = MuonClip(model.named_parameters(), ns_dtype=torch.float32)
    passes = MicroBatches(model, 2)
    return train_step(
        model, optimizer, batch, passes, grad_clip=1.0, bias_speed=0.01, weights=weights
    )


@pytest.mark.parametrize("micro_rows", [4, 1])
def test_loss_and_gradients_are_those_of_a_weighted_mean_over_tokens(micro_rows: int) -> None:
    model, batch = K2Model(TINY).initialize(0), batch_of()
    each = nll_of(model, batch)
    total = sum(WEIGHTS.by_role[role] for role, _ in each)
    expected = torch.stack([WEIGHTS.by_role[role] * nll for role, nll in each]).sum() / total
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss = StepLoss(total, WEIGHTS)
    found = MicroBatches(model, micro_rows).gradients(batch, loss, Observation(TINY))
    torch.testing.assert_close(found, expected.detach())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)
    for role in Role:
        nats = sum(nll.item() for other, nll in each if other == role)
        assert float(loss.nll_by_role[role]) == pytest.approx(nats, rel=1e-5)


def test_a_step_reports_the_weighted_loss_and_the_plain_mean_of_each_role() -> None:
    model, batch = K2Model(TINY).initialize(0), batch_of()
    batch.roles[batch.roles == Role.NAME] = Role.VALUE
    each = nll_of(model, batch)
    report = step(model, batch, WEIGHTS)
    total = sum(WEIGHTS.by_role[role] for role, _ in each)
    weighted = sum(WEIGHTS.by_role[role] * nll.item() for role, nll in each)
    assert report.loss == pytest.approx(weighted / total, rel=1e-5)
    assert report.learned_tokens == len(each)
    roles = {"structure": Role.STRUCTURE, "keys": Role.KEY, "values": Role.VALUE}
    assert report.loss_by_role.keys() == roles.keys()  # the step has no names
    for name, role in roles.items():
        nats = [nll.item() for other, nll in each if other == role]
        assert report.loss_by_role[name] == pytest.approx(sum(nats) / len(nats), rel=1e-5)


def plain_loss(head: nn.Module, hidden: Tensor, targets: Tensor) -> Tensor:
    """What a step without weights computes: torch's cross-entropy, summed."""
    targets = targets.flatten()
    wanted = (targets != IGNORED).nonzero().squeeze(1)
    logits = head(hidden.flatten(0, 1)[wanted])
    return F.cross_entropy(logits.float(), targets[wanted], reduction="sum")


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_without_weights_every_bit_is_that_of_cross_entropy(autocast: torch.dtype | None) -> None:
    batch, results = batch_of(16), []
    learned = int((batch.targets != IGNORED).sum())
    for plain in (True, False):
        model = K2Model(TINY).initialize(0)
        with torch.autocast("cpu", autocast, enabled=autocast is not None):
            hidden = model(batch.tokens)
            if plain:
                loss = plain_loss(model.lm_head, hidden, batch.targets) / learned
            else:
                of_step = StepLoss(float(learned))
                loss = of_step(model.lm_head, hidden, batch.targets, batch.roles)
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in model.parameters())])
    for one, other in zip(*results, strict=True):
        assert torch.equal(one, other)


def test_equal_weights_take_the_step_of_none() -> None:
    models = [K2Model(TINY).initialize(0) for _ in range(2)]
    plain = step(models[0], batch_of(), LossWeights())
    threes = step(models[1], batch_of(), LossWeights(3.0, 3.0, 3.0, 3.0))
    assert threes.loss == pytest.approx(plain.loss, rel=1e-6)
    assert threes.loss_by_role == plain.loss_by_role
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_in_which_nothing_counts_is_refused() -> None:
    batch = batch_of()
    batch.roles[batch.roles > 0] = Role.KEY
    with pytest.raises(TrainingError, match="every learned token in the batch has loss weight 0"):
        step(K2Model(TINY).initialize(0), batch, WEIGHTS)


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_a_weight_that_is_no_weight_is_refused_by_name(weight: float) -> None:
    with pytest.raises(ValueError, match=f"keys is {weight}: it must be a finite number, 0 or"):
        LossWeights(keys=weight)
    with pytest.raises(ValueError, match="every weight is 0"):
        LossWeights(0.0, 0.0, 0.0, 0.0)
