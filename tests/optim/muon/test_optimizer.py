import math

import pytest
import torch
from torch import nn

from openk2.optim import (
    POLAR_EXPRESS,
    QUINTIC,
    Muon,
    orthogonalize,
)


def named(*shapes: tuple[str, tuple[int, ...]]) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes}


def test_momentum_in_bfloat16_is_advanced_in_float32() -> None:
    both = [named(("w", (6, 10)))["w"] for _ in range(2)]
    muons = [
        Muon([w], lr=0.1, momentum=0.9, ns_dtype=torch.float32, momentum_dtype=dtype)
        for w, dtype in zip(both, (torch.float32, torch.bfloat16), strict=True)
    ]
    kept = torch.zeros(6, 10, dtype=torch.bfloat16)
    for seed in range(4):
        gradient = torch.randn(6, 10, generator=torch.Generator().manual_seed(seed))
        for w, muon in zip(both, muons, strict=True):
            w.grad = gradient.clone()
            muon.step()
        kept = (0.9 * kept.float() + gradient).to(torch.bfloat16)
    state = muons[1].state[both[1]]["momentum"]
    assert state.dtype == torch.bfloat16
    assert torch.equal(state, kept)
    torch.testing.assert_close(both[1], both[0], atol=0.02, rtol=0)
    assert not torch.equal(both[1], both[0])


def test_the_coefficients_are_those_that_were_asked_for() -> None:
    first, second = (named(("w", (6, 10)))["w"] for _ in range(2))
    for w, coefficients in ((first, QUINTIC), (second, POLAR_EXPRESS)):
        before = w.detach().clone()
        w.grad = torch.randn(6, 10, generator=torch.Generator().manual_seed(1))
        settings = {"ns_dtype": torch.float32, "coefficients": coefficients}
        Muon([w], lr=1.0, weight_decay=0.0, **settings).step()
        update = orthogonalize(w.grad, dtype=torch.float32, coefficients=coefficients)
        torch.testing.assert_close(w.detach(), before - update * 0.2 * math.sqrt(10))
    assert not torch.equal(first, second)


def test_the_update_has_adamws_root_mean_square() -> None:
    parameter = named(("w", (64, 256)))["w"]
    before = parameter.detach().clone()
    parameter.grad = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    Muon([parameter], lr=1.0, weight_decay=0.0).step()
    assert (parameter.detach() - before).square().mean().sqrt() == pytest.approx(0.2, rel=0.2)


def test_a_stack_of_experts_is_updated_expert_by_expert() -> None:
    stack = named(("experts", (3, 8, 12)))["experts"]
    singles = [nn.Parameter(matrix.detach().clone()) for matrix in stack]
    stack.grad = torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(1))
    for single, gradient in zip(singles, stack.grad, strict=True):
        single.grad = gradient.clone()
    for parameters in ([stack], singles):
        Muon(parameters, lr=0.1, ns_dtype=torch.float32).step()
    torch.testing.assert_close(stack.detach(), torch.stack([s.detach() for s in singles]))


def test_muon_refuses_a_vector_by_its_shape() -> None:
    with pytest.raises(ValueError, match=r"\(4,\).*AdamW"):
        Muon([nn.Parameter(torch.zeros(4))])


@pytest.mark.parametrize(
    ("name", "least", "refused"),
    [("lr", 0.0, -0.1), ("momentum", 0.0, 1.0), ("weight_decay", 0.0, -1.0), ("ns_steps", 1, 0)],
)
def test_settings_are_bounded_where_they_say(name: str, least: float, refused: float) -> None:
    weight = named(("w", (4, 6)))["w"]
    Muon([weight], **{"lr": 0.1, name: least})
    with pytest.raises(ValueError, match=f"^{name} is {refused}: it must be"):
        Muon([weight], **{"lr": 0.1, name: refused})
