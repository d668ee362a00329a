import dataclasses

import pytest
import torch

from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.optim import MuonClip
from openk2.train.loss import StepLoss
from openk2.train.passes import MicroBatches, loss_of
from openk2.train.step import TrainingError, balance, train_step
from tiny import TINY


def batch_of(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 64, (4, 12), generator=generator)
    targets = torch.randint(0, 64, (4, 12), generator=generator)
    targets[:, ::3] = -100
    return Batch(tokens, torch.zeros_like(tokens), targets, (targets >= 0).byte())


def test_micro_batches_give_the_gradient_of_the_whole_batch() -> None:
    gradients = []
    for micro_rows in (4, 1):
        model = K2Model(TINY).initialize(0)
        observation = Observation(TINY)
        batch = batch_of()
        MicroBatches(model, micro_rows).gradients(batch, StepLoss(1.0), observation)
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-4, rtol=1e-4)


def test_only_learned_tokens_count() -> None:
    model = K2Model(TINY).initialize(0)
    batch = batch_of()
    loss = loss_of(model, batch, StepLoss(1.0), Observation(TINY))
    logits = model.lm_head(model(batch.tokens)).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(
        logits, batch.targets.flatten(), ignore_index=-100, reduction="sum"
    )
    torch.testing.assert_close(loss, expected)


def step(model: K2Model, optimizer: MuonClip, batch: Batch) -> object:
    return train_step(
        model,
        optimizer,
        batch,
        MicroBatches(model, 2),
        grad_clip=1.0,
        bias_speed=0.01,
    )


def test_a_gradient_that_is_not_finite_takes_no_step() -> None:
    model = K2Model(TINY).initialize(0)
    model.lm_head.weight.data[3, 3] = torch.nan
    optimizer = MuonClip(model.named_parameters())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(TrainingError, match="not finite"):
        step(model, optimizer, batch_of())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num()), name
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_step_clips_each_head_of_each_layer_by_what_its_own_pass_saw() -> None:
    model = K2Model(TINY).initialize(0)
    batch, seen = batch_of(), Observation(TINY)
    model(batch.tokens, observation=seen)
    tau = float(seen.max_logits.flatten().sort().values[1:3].mean())
    optimizer = MuonClip(model.named_parameters(), tau=tau)
    optimizer.set_lr(0.0)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = step(model, optimizer, batch)
    assert report.clipped_heads == 2
    assert report.max_logit == pytest.approx(float(seen.max_logits.max()))
    for layer, logits in enumerate(seen.max_logits.tolist()):
        attention = f"model.layers.{layer}.self_attn."
        for head, logit in enumerate(logits):
            g = min(1.0, tau / logit)
            rows = {"q_b_proj": [g**0.5] * 8 + [g] * 4, "kv_b_proj": [g**0.5] * 8 + [1.0] * 8}
            for matrix, factors in rows.items():
                name = f"{attention}{matrix}.weight"
                old, new = (
                    s[name].unflatten(0, (2, -1))[head] for s in (before, model.state_dict())
                )
                torch.testing.assert_close(new, old * torch.tensor(factors)[:, None])
    untouched = [name for name in before if "_b_proj" not in name and "correction" not in name]
    assert all(torch.equal(model.state_dict()[name], before[name]) for name in untouched)


def test_a_logit_that_is_not_finite_takes_no_step() -> None:
    """Segment 1 has no learned token, so that neither loss nor gradient shows its logits."""
    model = K2Model(TINY).initialize(0)
    batch = batch_of()
    tokens, targets = batch.tokens.clamp(max=62), batch.targets.clone()
    segments = (torch.arange(12) >= 6).long().expand(4, 12)
    tokens[segments == 1], targets[segments == 1] = 63, -100
    roles = (targets >= 0).byte()
    model.model.embed_tokens.weight.data[63] = torch.nan
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(TrainingError, match="max logit nan"):
        step(model, MuonClip(model.named_parameters()), Batch(tokens, segments, targets, roles))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num()), name


def test_a_batch_without_learned_tokens_is_refused() -> None:
    model = K2Model(TINY).initialize(0)
    nothing = {"targets": torch.full((4, 12), -100), "roles": torch.zeros(4, 12).byte()}
    batch = dataclasses.replace(batch_of(), **nothing)
    with pytest.raises(TrainingError, match="no learned token"):
        step(model, MuonClip(model.named_parameters()), batch)


def test_the_balance_rule_raises_the_bias_of_idle_experts() -> None:
    model = K2Model(TINY).initialize(0)
    balance(model, torch.tensor([[0.0, 0, 0, 0], [10, 0, 3, 3]]), speed=0.01)
    bias = model.model.layers[1].mlp.gate.e_score_correction_bias
    torch.testing.assert_close(bias, torch.tensor([-0.01, 0.01, 0.01, 0.01]))
