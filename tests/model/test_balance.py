"""The sequence-wise balance loss against equations 17 to 20, written down in float64."""

import dataclasses
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from openk2.model import K2Model, Observation
from openk2.model.balance import sequence_balance
from tiny import TINY

ALPHA = 0.1
CONFIG = replace(TINY, num_hidden_layers=3, n_routed_experts=8, num_experts_per_tok=3)


def by_the_equations(scores: Tensor, observed: Tensor, choices: int) -> Tensor:
    """Sequence by sequence, expert by expert; the sum over sequences of sum f_i P_i."""
    loss = torch.zeros((), dtype=torch.float64)
    for row, seen in zip(scores.double(), observed, strict=True):
        tokens = row[seen]
        if not len(tokens):
            continue
        length, experts = tokens.shape
        normed = tokens / tokens.sum(1, keepdim=True)
        for i in range(experts):
            among = sum(int(i in token.topk(choices).indices) for token in tokens)
            loss = loss + experts / (choices * length) * among * normed[:, i].sum() / length
    return loss


def scores_of(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(4, 10, 8, generator=generator).sigmoid()
    observed = torch.rand(4, 10, generator=generator) < 0.7
    observed[3] = False  # a row of padding
    return scores.requires_grad_(), observed


@pytest.mark.parametrize("choices", [1, 3, 8])
def test_loss_and_gradient_are_those_of_the_equations(choices: int) -> None:
    scores, observed = scores_of(choices)
    balanced, loss = sequence_balance(scores, observed, choices, ALPHA)
    assert torch.equal(balanced, scores)
    expected = ALPHA * by_the_equations(scores, observed, choices)
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-6)
    above = torch.randn(scores.shape)
    (found,) = torch.autograd.grad((balanced * above).sum(), scores)
    (wanted,) = torch.autograd.grad(expected + (scores.double() * above).sum(), scores)
    torch.testing.assert_close(found, wanted, atol=1e-7, rtol=1e-5)


def test_even_routing_has_loss_alpha_and_no_gradient() -> None:
    scores = torch.full((1, 8, 4), 0.5)
    scores += 1e-6 * torch.eye(4).repeat(2, 1)  # each token barely prefers another expert
    balanced, loss = sequence_balance(scores.requires_grad_(), None, 1, ALPHA)
    assert float(loss) == pytest.approx(ALPHA, rel=1e-4)
    (gradient,) = torch.autograd.grad(balanced.sum() - scores.sum(), scores)
    assert gradient.abs().max() < 1e-6


def batch_of(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    tokens = torch.randint(0, 64, (rows, 12), generator=generator)
    segments = (torch.arange(12) >= 5).long().expand(rows, 12).clone()
    segments[:, 10:] = -1
    return tokens, segments


def gradients(micro_rows: int, alpha: float, rows: int = 4) -> tuple[K2Model, Observation]:
    model = K2Model(CONFIG).initialize(0)
    tokens, segments = batch_of(rows)
    seen = Observation(CONFIG, balance=alpha / rows)
    for part in torch.arange(rows).split(micro_rows):
        hidden = model(tokens[part], segments=segments[part], observation=seen)
        hidden.square().sum().backward()
    return model, seen


def test_micro_batches_give_the_loss_and_gradients_of_the_whole_batch() -> None:
    (whole, one), (parts, other) = gradients(4, ALPHA), gradients(1, ALPHA)
    torch.testing.assert_close(one.balance_loss, other.balance_loss)
    assert (one.balance_loss > 0).tolist() == [False, True, True]
    for (name, a), (_, b) in zip(whole.named_parameters(), parts.named_parameters(), strict=True):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=2e-4, rtol=2e-4, msg=name)


def test_the_gradient_that_is_added_is_that_of_the_loss_through_the_whole_network() -> None:
    """Against a plain network whose routers' scores are caught and put into the equations."""
    with_loss, seen = gradients(4, ALPHA)
    model = K2Model(CONFIG).initialize(0)
    tokens, segments = batch_of(4)
    caught: list[Tensor] = []

    class Catching(Observation):
        def see_scores(self, layer: int, scores: Tensor, sequences: int) -> Tensor:
            caught.append(scores.unflatten(0, (sequences, -1)))
            return scores

    hidden = model(tokens, segments=segments, observation=Catching(CONFIG))
    terms = [by_the_equations(scores, segments >= 0, 3) for scores in caught]
    loss = ALPHA / 4 * torch.stack(terms).sum()
    (hidden.square().sum() + loss).backward()
    assert float(seen.balance_loss.sum()) == pytest.approx(float(loss.detach()), rel=1e-5)
    for (name, a), (_, b) in zip(
        with_loss.named_parameters(), model.named_parameters(), strict=True
    ):
        if a.grad is not None:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4, msg=name)


def test_of_a_layer_only_the_router_is_moved_by_its_own_loss() -> None:
    model = K2Model(dataclasses.replace(CONFIG, num_hidden_layers=2)).initialize(0)
    tokens, segments = batch_of(2)
    seen = Observation(model.config, balance=ALPHA)
    hidden = model(tokens, segments=segments, observation=seen)
    (hidden * 0).sum().backward()  # nothing but the balance loss is left
    for name, parameter in model.model.layers[1].mlp.named_parameters():
        moved = parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
        assert moved == (name == "gate.weight"), name


def test_training_on_the_loss_alone_evens_out_the_scores() -> None:
    model = K2Model(CONFIG).initialize(0)
    tokens, segments = batch_of(4)
    routers = [layer.mlp.gate.weight for layer in model.decoder_layers[1:]]
    losses = []
    for _ in range(20):
        seen = Observation(CONFIG, balance=ALPHA / 4)
        hidden = model(tokens, segments=segments, observation=seen)
        for router, gradient in zip(
            routers, torch.autograd.grad((hidden * 0).sum(), routers), strict=True
        ):
            router.data -= 2.0 * gradient
        losses.append(float(seen.balance_loss.sum()))
    # Two layers at their least are 2 alpha.
    assert losses[-1] - 2 * ALPHA < 0.5 * (losses[0] - 2 * ALPHA)
