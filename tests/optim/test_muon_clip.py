import math
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from torch import nn

from openk2.optim import MuonClip, OrdinaryHeads


def named(*shapes: tuple[str, tuple[int, ...]]) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes}


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


@pytest.mark.filterwarnings("ignore:torch.distributed is")
def test_a_resume_allocates_what_a_save_wrote_also_of_parameters_never_used_or_frozen(
    tmp_path: Path,
) -> None:
    shapes = (("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (4, 5)), ("v", (4, 5)))

    def made() -> tuple[dict[str, nn.Parameter], MuonClip]:
        parameters = named(*shapes)
        parameters["embed_tokens"].requires_grad_(False)
        return parameters, MuonClip(parameters.items(), lr=0.1)

    def step(parameters: dict[str, nn.Parameter], optimizer: MuonClip, *names: str) -> None:
        for name in names:
            parameters[name].grad = torch.ones_like(parameters[name])
        optimizer.step()

    ours, optimizer = made()
    step(ours, optimizer, "w")  # neither `v` nor the head
    optimizer.allocate_state()
    checkpoint.save(optimizer.state_tensors(), checkpoint_id=tmp_path, no_dist=True)
    theirs, resumed = made()
    for name, parameter in theirs.items():
        parameter.data.copy_(ours[name].data)
    resumed.allocate_state()
    checkpoint.load(resumed.state_tensors(), checkpoint_id=tmp_path, no_dist=True)
    assert not [name for name in resumed.state_tensors() if name.startswith("embed")]
    for each in ((ours, optimizer), (theirs, resumed)):
        step(*each, "w", "v", "lm_head.weight")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_rate_that_is_a_tensor_does_what_a_number_does_and_stays_the_callers() -> None:
    shapes = (("lm_head.weight", (6, 4)), ("embed_tokens", (6, 4)), ("w", (4, 5)), ("n", (4,)))
    rate, more = torch.tensor(0.1), torch.tensor(0.3)
    trained = []
    for lr, added in ((0.1, 0.3), (rate, more)):
        parameters = named(*shapes, ("late.w", (4, 5)), ("late.n", (4,)))
        first = {name: p for name, p in parameters.items() if "late" not in name}
        optimizer = MuonClip(first.items(), lr=lr, adamw_matrix_rate=0.5)
        late = [(name, p) for name, p in parameters.items() if "late" in name]
        optimizer.add_param_group({"params": late, "lr": added})
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        assert rates == pytest.approx([0.1, 0.05, 0.1, 0.3, 0.3])
        trained.append(parameters)
    for name, parameter in trained[0].items():
        torch.testing.assert_close(parameter, trained[1][name])
    for group in optimizer.param_groups:
        group["lr"].fill_(0.0)  # as torch's schedulers do
        assert sum(float(each["lr"]) == 0.0 for each in optimizer.param_groups) == 1
        group["lr"].fill_(1.0)
    assert [float(rate), float(more)] == pytest.approx([0.1, 0.3])


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
    two.load_state_dict(one.state_dict())
    step(first, one, 2)
    step(second, two, 2)
    for name in first:
        assert torch.equal(first[name], second[name]), name


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


def test_parameters_without_names_are_refused_with_the_remedy() -> None:
    """What one passes to torch's own optimizers."""
    model = torch.nn.Linear(4, 4)
    groups = [{"params": list(model.parameters()), "lr": 1e-3}]
    for given in (model.parameters(), list(model.parameters()), groups, model.state_dict()):
        with pytest.raises(TypeError, match=r"need names.*model\.named_parameters\(\)"):
            MuonClip(given, partial=True)
    optimizer = MuonClip(model.named_parameters(), partial=True)
    with pytest.raises(TypeError, match=r"need names.*in `params`"):
        optimizer.add_param_group({"params": list(torch.nn.Linear(4, 4).parameters())})


def linear_group(prefix: str = "") -> list[tuple[str, nn.Parameter]]:
    return [(prefix + name, parameter) for name, parameter in nn.Linear(4, 4).named_parameters()]


def test_a_group_with_a_name_that_another_has_is_refused_and_prefixed_names_are_clipped() -> None:
    first, second = linear_group(), linear_group()
    optimizer = MuonClip(first, partial=True)
    with pytest.raises(ValueError, match=r"weight is the name of another parameter.*prefix"):
        optimizer.add_param_group({"params": [(f"module.{name}", p) for name, p in second]})
    assert list(optimizer.named.values()) == [parameter for _, parameter in first]
    optimizer.add_param_group({"params": [(f"second.{name}", p) for name, p in second]})
    for _, parameter in (*first, *second):
        parameter.grad = torch.ones_like(parameter)
    assert float(optimizer.clip_gradients(1.0)) == pytest.approx(math.sqrt(40))
    optimizer.step()
    assert {"weight.momentum", "second.weight.momentum"} <= optimizer.state_tensors().keys()


def test_a_refused_group_leaves_the_optimizer_as_it_was() -> None:
    """A new matrix, and a bias that a group has already: the second part is refused."""
    optimizer = MuonClip(linear_group(), partial=True, fused={"in_proj_weight": 2})
    groups, owners = list(optimizer.param_groups), list(optimizer.owners)
    matrix = nn.Parameter(torch.ones(4, 4))
    wrong = [("in_proj_weight", matrix), ("late.bias", optimizer.named["bias"])]
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": wrong})
    assert optimizer.param_groups == groups
    assert optimizer.owners == owners
    optimizer.add_param_group({"params": [("late", matrix)]})  # no longer fused
    assert optimizer.param_groups[-1]["name"] == "group 2 muon"
    assert len(optimizer.muon.matrices[matrix]) == 1
    assert list(optimizer.named) == ["weight", "bias", "late"]


def test_heads_of_a_tensor_that_the_optimizer_does_not_have_are_refused_and_none_is_clipped() -> (
    None
):
    parameters = named(("q", (6, 5)), ("k", (6, 5)), ("old", (6, 5)))
    old = parameters.pop("old")
    optimizer = MuonClip(parameters.items(), adamw=(), tau=1.0)
    before = parameters["q"].detach().clone()
    heads = [
        OrdinaryHeads(parameters["q"], parameters["k"], 2, 2),
        OrdinaryHeads(parameters["q"], old, 2, 2),
    ]
    with pytest.raises(ValueError, match=r"layer 1: its key \[6, 5\] is none of the optimizer's"):
        optimizer.clip(heads, torch.full((2, 2), 4.0))
    assert torch.equal(parameters["q"], before)


def test_heads_that_are_frozen_or_views_are_clipped() -> None:
    parameters = named(("qk", (12, 5)), ("other", (3, 2)))
    weight = parameters["qk"].requires_grad_(False)
    before = weight.clone()
    optimizer = MuonClip(parameters.items(), adamw=(), tau=1.0)
    views = OrdinaryHeads(weight[:6], weight.data[6:], 2, 2)
    assert optimizer.clip([views], torch.full((1, 2), 4.0)).all()
    torch.testing.assert_close(weight.data, before / 2)
