import math

import pytest
import torch
from torch import nn

from openk2.optim import (
    POLAR_EXPRESS,
    QUINTIC,
    Muon,
    MuonClip,
    WarmupStableDecay,
    assign_owners,
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


def test_owners_embedding_head_and_vectors_to_adamw_everything_else_to_muon() -> None:
    parameters = named(
        ("model.embed_tokens.weight", (20, 4)),
        ("lm_head.weight", (20, 4)),
        ("model.norm.weight", (4,)),
        ("model.layers.1.mlp.gate.weight", (3, 4)),
        ("model.layers.1.mlp.experts.up_proj", (3, 5, 4)),
    )
    owners = {o.name: o.owner for o in MuonClip(parameters.items()).owners}
    assert owners == {
        "model.embed_tokens.weight": "adamw",
        "lm_head.weight": "adamw",
        "model.norm.weight": "adamw",
        "model.layers.1.mlp.gate.weight": "muon",
        "model.layers.1.mlp.experts.up_proj": "muon",
    }


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="embed"):
        assign_owners(named(("w", (3, 4))).items(), adamw=["*embed*"])


def test_muon_refuses_a_vector_by_its_shape() -> None:
    with pytest.raises(ValueError, match=r"\(4,\).*AdamW"):
        Muon([nn.Parameter(torch.zeros(4))])


@pytest.mark.parametrize(
    "setting",
    [{"lr": -1.0}, {"momentum": 1.0}, {"weight_decay": -0.1}, {"tau": 0.0}, {"tau": math.nan}],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: dict[str, float]) -> None:
    parameters = named(("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (4, 5)))
    with pytest.raises(ValueError, match=next(iter(setting))):
        MuonClip(parameters.items(), **setting)


def test_a_parameter_without_gradient_rests_and_has_no_state() -> None:
    shapes = (("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (4, 5)), ("v", (4, 5)))
    parameters = named(*shapes)
    optimizer = MuonClip(parameters.items(), lr=0.1)
    parameters["w"].grad = torch.ones(4, 5)
    resting = parameters["v"].detach().clone()
    optimizer.step()
    assert list(optimizer.state_tensors()) == ["w.momentum"]
    assert torch.equal(parameters["v"], resting)


def test_norms_do_not_decay_and_matrices_do() -> None:
    shapes = (("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (4, 5)), ("norm", (4,)))
    parameters = named(*shapes)
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    MuonClip(parameters.items(), lr=0.5, weight_decay=0.1).step()
    for name, parameter in parameters.items():
        kept = 1.0 if name == "norm" else 0.95
        torch.testing.assert_close(parameter.detach(), before[name] * kept)


def test_restored_state_continues_bit_equal() -> None:
    shapes = (("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (2, 4, 5)), ("n", (4,)))
    first, second = named(*shapes), named(*shapes)
    one, two = MuonClip(first.items(), lr=0.1), MuonClip(second.items(), lr=0.1)

    def step(parameters: dict[str, nn.Parameter], optimizer: MuonClip, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for parameter in parameters.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()

    step(first, one, 1)
    for name, parameter in second.items():
        parameter.data.copy_(first[name].data)
    two.load_state_tensors(one.state_tensors())
    step(first, one, 2)
    step(second, two, 2)
    for name in first:
        assert torch.equal(first[name], second[name]), name


def test_warm_up_stable_decay() -> None:
    schedule = WarmupStableDecay(peak=1.0, final=0.1, warmup=4, stable=3, decay=10)
    assert [schedule(step) for step in range(7)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    assert schedule(12) == pytest.approx(0.55)
    assert schedule(17) == schedule(1000) == pytest.approx(0.1)


def test_a_part_of_a_network_may_lack_the_embedding_and_the_head() -> None:
    parameters = named(("model.layers.1.mlp.gate.weight", (3, 4)), ("lm_head.weight", (20, 4)))
    owners = assign_owners(parameters.items(), partial=True)
    assert [o.owner for o in owners] == ["muon", "adamw"]
    with pytest.raises(ValueError, match="embed_tokens"):
        assign_owners(parameters.items())


def test_adamw_can_own_every_matrix() -> None:
    """The baseline of the studies: the same optimizer without a matrix for Muon."""
    parameters = named(("w", (4, 5)), ("experts", (2, 4, 5)), ("norm", (4,)))
    plain = [nn.Parameter(p.detach().clone()) for p in parameters.values()]
    optimizer = MuonClip(parameters.items(), adamw=("*",), lr=0.1, weight_decay=0.2)
    groups = [{"params": plain[:2], "weight_decay": 0.2}, {"params": plain[2:], "weight_decay": 0}]
    adamw = torch.optim.AdamW(groups, lr=0.1, betas=(0.9, 0.95), fused=True)
    for ours, theirs in zip(parameters.values(), plain, strict=True):
        ours.grad = theirs.grad = torch.randn(ours.shape, generator=torch.Generator())
    optimizer.step()
    adamw.step()
    for ours, theirs in zip(parameters.values(), plain, strict=True):
        assert torch.equal(ours, theirs)
