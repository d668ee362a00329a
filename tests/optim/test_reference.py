"""The optimizer against its plain twin, algorithm 1 of the report line by line."""

import pytest
import torch
from torch import Tensor, nn

from openk2.optim import LatentHeads, Muon, MuonClip
from openk2.optim.reference import HeadViews, muon_clip_step, newton_schulz

HEADS, NOPE, ROPE, VALUE = 3, 4, 2, 5
SHAPES = {
    "q_b_proj.weight": (HEADS * (NOPE + ROPE), 7),
    "kv_b_proj.weight": (HEADS * (NOPE + VALUE), 6),
    "down_proj.weight": (8, 20),
    "up_proj.weight": (20, 8),
}
SETTINGS = {"lr": 0.1, "weight_decay": 0.2}


def drawn(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def head_views(weights: dict[str, Tensor]) -> list[HeadViews]:
    """Of each head the rows that QK-Clip scales, as algorithm 1 names them."""
    query = weights["q_b_proj.weight"].unflatten(0, (HEADS, NOPE + ROPE))
    key = weights["kv_b_proj.weight"].unflatten(0, (HEADS, NOPE + VALUE))
    return [HeadViews(q[:NOPE], k[:NOPE], q[NOPE:]) for q, k in zip(query, key, strict=True)]


def test_three_steps_of_muon_clip_are_those_of_algorithm_1() -> None:
    expected, momenta = drawn(0), {n: torch.zeros(shape) for n, shape in SHAPES.items()}
    parameters = {name: nn.Parameter(tensor) for name, tensor in drawn(0).items()}
    optimizer = MuonClip(
        parameters.items(), adamw=(), momentum=0.9, tau=5.0, ns_dtype=torch.float32, **SETTINGS
    )
    heads = LatentHeads(
        parameters["q_b_proj.weight"], parameters["kv_b_proj.weight"], heads=HEADS, nope=NOPE
    )
    for step, max_logits in enumerate(([4.0, 9.0, 5.0], [6.0, 1.0, -7.0], [50.0, 5.1, 4.9]), 1):
        gradients = drawn(step)
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clone()
        optimizer.step()
        clipped = optimizer.clip([heads], torch.tensor([max_logits]))
        assert clipped[0].tolist() == [logit > 5.0 for logit in max_logits]
        muon_clip_step(
            list(expected.values()),
            list(gradients.values()),
            list(momenta.values()),
            head_views(expected),
            max_logits,
            mu=0.9,
            tau=5.0,
            **SETTINGS,
        )
        for name, parameter in parameters.items():
            torch.testing.assert_close(parameter.detach(), expected[name], msg=name)
            torch.testing.assert_close(
                optimizer.state_tensors()[f"{name}.momentum"], momenta[name], msg=name
            )


@pytest.mark.parametrize("nesterov", [False, True])
def test_a_stack_gets_the_update_of_its_matrices_one_by_one(nesterov: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    stack, gradient = (torch.randn(3, 6, 10, generator=generator) for _ in range(2))
    expected = [matrix.clone() for matrix in stack]
    # The first step's momentum is the gradient, so with Nesterov the direction is 1.9 times it,
    # which Newton-Schulz normalises away.
    for matrix, own in zip(expected, gradient, strict=True):
        muon_clip_step([matrix], [own], [torch.zeros(6, 10)], [], [], mu=0.9, tau=1.0, **SETTINGS)
    parameter = nn.Parameter(stack)
    parameter.grad = gradient
    Muon([parameter], momentum=0.9, nesterov=nesterov, ns_dtype=torch.float32, **SETTINGS).step()
    torch.testing.assert_close(parameter.detach(), torch.stack(expected))


@pytest.mark.parametrize("shape", [(5, 12), (12, 5)])
def test_newton_schulz_of_the_reference_brings_singular_values_near_one(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(newton_schulz(matrix))
    assert 0.6 < float(values.min()) <= float(values.max()) < 1.3
