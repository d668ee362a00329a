"""Matrices that a model keeps in one tensor are updated as if it kept them apart."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from openk2.kernels import native
from openk2.model import K2Model
from openk2.optim import QUINTIC, Fused, Muon, MuonClip, assign_owners, ownership_table
from openk2.optim.muon import update
from openk2.optim.shards import rows_of
from tiny import COMPARED

NONE: Sequence[str] = ()


@dataclass(frozen=True)
class Kept:
    """A way in which models keep matrices together. apart: copies of them, by plain indexing."""

    shape: tuple[int, ...]
    fused: Fused
    apart: Callable[[Tensor], Sequence[Tensor]]


def of_heads(tensor: Tensor, groups: int, first: int, end: int, each: int) -> Tensor:
    """Heads first .. end - 1 of every group, of `each` rows."""
    grouped = tensor.reshape(groups, -1, each, tensor.shape[-1])
    return grouped[:, first:end].reshape(-1, tensor.shape[-1])


WAYS = {
    "gate and up of experts (DeepSeek, Mixtral)": Kept(
        (3, 12, 8), Fused(2), lambda t: t.chunk(2, 1)
    ),
    "gate and up of a dense layer (Phi)": Kept((20, 8), Fused(2), lambda t: t.chunk(2)),
    "queries, fewer keys and values (Phi)": Kept(
        (24, 9), Fused((16, 4, 4)), lambda t: t.split((16, 4, 4))
    ),
    "along the columns (GPT-2)": Kept((8, 18), Fused(3, dim=-1), lambda t: t.chunk(3, -1)),
    "head by head (GPT-NeoX)": Kept(
        (24, 10),
        Fused(3, groups=4),
        lambda t: [of_heads(t, 4, i, i + 1, 2) for i in range(3)],
    ),
    "group by group (Falcon)": Kept(
        (24, 10),
        Fused((6, 3, 3), groups=2),
        lambda t: [of_heads(t, 2, *heads, 3) for heads in ((0, 2), (2, 3), (3, 4))],
    ),
    "columns in turns (gpt-oss)": Kept(
        (3, 8, 12), Fused(2, dim=-1, groups=6), lambda t: (t[..., ::2], t[..., 1::2])
    ),
    "columns of groups": Kept(
        (8, 12),
        Fused((2, 1), dim=-1, groups=4),
        lambda t: (t.unflatten(1, (4, 3))[..., :2].flatten(1), t[:, 2::3]),
    ),
}


def numbers(shape: Sequence[int], seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def updated(kept: Kept, fused: Fused, **settings: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Three steps of the tensor in one, and of what it holds, each for itself."""
    whole = nn.Parameter(numbers(kept.shape, 0))
    apart = [nn.Parameter(part.clone()) for part in kept.apart(whole.detach())]
    settings = {"lr": 0.1, "ns_dtype": torch.float32, **settings}
    one = Muon([whole], fused={whole: fused}, **settings)
    many = Muon(apart, **settings)
    for seed in (1, 2, 3):
        whole.grad = numbers(kept.shape, seed)
        for parameter, gradient in zip(apart, kept.apart(whole.grad), strict=True):
            parameter.grad = gradient.clone()
        one.step()
        many.step()
    assert one.state[whole]["momentum"].shape == kept.shape
    return list(kept.apart(whole.detach())), [part.detach() for part in apart]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("way", WAYS)
def test_together_or_apart_the_matrices_get_the_same_update(
    way: str, momentum: torch.dtype, nesterov: bool
) -> None:
    kept = WAYS[way]
    for mine, wanted in zip(
        *updated(kept, kept.fused, momentum_dtype=momentum, nesterov=nesterov), strict=True
    ):
        torch.testing.assert_close(mine, wanted, atol=1e-6, rtol=1e-6)
        # torch's products depend on what shares their batch.
        assert torch.equal(mine, wanted) or not native.available()


def listing(weights: Tensor, gradient: Tensor) -> Tensor:
    """A first step of algorithm 1 in float64, rate 0.1 and decay 0.1."""
    x = gradient / gradient.norm()
    for a, b, c in QUINTIC * 5:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return weights - 0.1 * (x * 0.2 * math.sqrt(max(x.shape)) + 0.1 * weights)


def follows_the_listing(kept: Kept, fused: Fused) -> None:
    """Every matrix moves by the report's formula, of its own numbers and its own shape."""
    whole = nn.Parameter(numbers(kept.shape, 0))
    whole.grad = numbers(kept.shape, 1)
    before = [part.double() for part in kept.apart(whole.detach().clone())]
    Muon([whole], lr=0.1, ns_dtype=torch.float32, fused={whole: fused}).step()
    for parts in zip(
        kept.apart(whole.detach()), before, kept.apart(whole.grad.double()), strict=True
    ):
        moved, weights, gradient = (p if p.ndim == 3 else p[None] for p in parts)
        wanted = torch.stack([listing(*pair) for pair in zip(weights, gradient, strict=True)])
        torch.testing.assert_close(moved.double(), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("way", WAYS)
def test_each_part_follows_the_reports_listing(way: str) -> None:
    follows_the_listing(WAYS[way], WAYS[way].fused)


@pytest.mark.parametrize(
    "mistake",
    [
        Fused(1),  # all in one
        Fused(2, dim=-1),  # across
        Fused(2, groups=6),  # in turns
        Fused((4, 8)),  # at another row
        Fused(4),
    ],
    ids=str,
)
def test_matrices_told_apart_wrongly_are_found(mistake: Fused) -> None:
    with pytest.raises(AssertionError):
        follows_the_listing(WAYS["gate and up of experts (DeepSeek, Mixtral)"], mistake)


def test_a_factor_by_the_shape_of_the_whole_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = WAYS["gate and up of experts (DeepSeek, Mixtral)"]
    plain = update.update_scale
    monkeypatch.setattr(update, "update_scale", lambda rows, columns: plain(2 * rows, columns))
    with pytest.raises(AssertionError):
        follows_the_listing(kept, kept.fused)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 5))
def test_ranks_hold_every_row_of_a_part_once_and_in_order(
    sizes: list[int], groups: int, ranks: int
) -> None:
    rows = sum(sizes) * groups
    assume(groups == 1 or -(-rows // ranks) % sum(sizes) == 0)
    tensor = torch.arange(rows * 2).view(1, rows, 2)
    for part in Fused(sizes, groups=groups).of(tensor[0]):
        whole = part.view(tensor, range(rows)).reshape(1, part.rows, 2)
        held = [rows_of(rows, ranks, rank) for rank in range(ranks)]
        pieces = [part.view(tensor[:, h.start : h.stop], h) for h in held]
        assert [p.numel() // 2 for p in pieces] == [part.rows_in(h) for h in held]
        assert torch.equal(torch.cat([p.reshape(1, -1, 2) for p in pieces], 1), whole)


NAMED = {
    "embed_tokens.weight": (20, 8),
    "layers.0.qkv_proj.weight": (16, 8),
    "layers.0.qkv_proj.bias": (16,),
    "layers.0.experts.gate_up_proj": (4, 12, 8),
    "lm_head.weight": (20, 8),
}


def named() -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(numbers(shape, 0)) for name, shape in NAMED.items()}


def test_the_table_of_owners_shows_the_parts() -> None:
    optimizer = MuonClip(
        named().items(), fused={"*.qkv_proj.*": (8, 4, 4), "*.experts.gate_up_proj": 2}
    )
    table = ownership_table(optimizer.owners).splitlines()
    assert table[2].split(None, 2) == [
        "muon", "16x8", "layers.0.qkv_proj.weight  (hidden matrix, fused of 8x8, 4x8, 4x8)",
    ]  # fmt: skip
    assert table[3].endswith("qkv_proj.bias  (not a matrix)")
    assert table[4].endswith("gate_up_proj  (stack of 4 matrices, fused of 2 of 6x8)")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("layers.0.qkv_proj.weight", r"{'\*qkv_proj\*': 3}"),
        ("layers.0.experts.gate_up_proj", r"{'\*gate_up_proj\*': 2}"),
    ],
)
def test_a_tensor_that_is_fused_by_its_name_must_be_spoken_of(name: str, remedy: str) -> None:
    parameters = {name: named()[name]}
    with pytest.raises(ValueError, match=rf"{name} .*`fused`.*{remedy}.*or 1 for a single matrix"):
        assign_owners(parameters.items(), NONE)
    (spoken,) = assign_owners(parameters.items(), NONE, {"*": 1})
    assert spoken.reason.endswith("not fused")
    (other,) = assign_owners(parameters.items(), ["*"])
    assert other.owner == "adamw"


@pytest.mark.parametrize(
    "name",
    [
        "gate_up_proj", "qkv_proj.weight", "attention.query_key_value.weight", "attn.Wqkv.weight",
        "h.0.attn.c_attn.weight", "self_attn.in_proj_weight", "attn.qkv.weight",
    ],
)  # fmt: skip
def test_names_that_say_it(name: str) -> None:
    with pytest.raises(ValueError, match="several matrices by its name"):
        assign_owners({name: torch.zeros(6, 4)}.items(), NONE)


def test_mlas_up_projection_is_one_matrix_as_in_the_report() -> None:
    (owner,) = assign_owners({"self_attn.kv_b_proj.weight": torch.zeros(6, 4)}.items(), NONE)
    assert owner.fused is None


@pytest.mark.parametrize(
    ("fused", "message"),
    [
        ({"*qkv*": 2, "*qkv": 3}, r"no matrix of Muon matches the fused pattern '\*qkv'"),
        ({"*qkv*": 2, "*.bias": 3}, r"no matrix of Muon matches the fused pattern '\*.bias'"),
        ({"*qkv*": 3}, r"layers.0.qkv_proj.weight \[16, 8\]: 16 rows do not fall into 3 parts"),
        ({"*qkv*": (8, 4, 8)}, r"16 rows do not fall into \(8, 4, 8\) parts"),
        ({"*qkv*": Fused(3, dim=-1)}, "8 columns do not fall into 3 parts"),
        ({"*qkv*": Fused(3, groups=4)}, "16 rows do not fall into 3 parts in each of 4 groups"),
        ({"*qkv*": 2, "*.0.*": 2}, r"layers.0.qkv_proj.weight .*2 patterns of `fused` match it"),
        ({"*qkv*": 0}, "layers.0.qkv_proj.weight .*parts is 0"),
    ],
)
def test_what_fused_cannot_mean_is_refused_by_name(fused: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MuonClip(
            named().items(), fused={"*gate_up*": 2, **fused} if "*.0.*" not in fused else fused
        )


def test_the_biases_of_experts_are_vectors_and_do_not_decay() -> None:
    shapes = {"experts.gate_up_proj": (3, 8, 12), "experts.gate_up_proj_bias": (3, 12)}
    parameters = {name: nn.Parameter(numbers(shape, 0)) for name, shape in shapes.items()}
    bias = parameters["experts.gate_up_proj_bias"]
    before = bias.detach().clone()
    bias.grad = torch.zeros_like(bias)
    turns = Fused(2, dim=-1, groups=6)
    MuonClip(parameters.items(), adamw=(), fused={"*gate_up_proj*": turns}, lr=0.5).step()
    assert torch.equal(bias, before)


def test_a_tensor_of_four_dimensions_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"conv.weight \[8, 3, 2, 2\].*`adamw`"):
        assign_owners({"conv.weight": torch.zeros(8, 3, 2, 2)}.items(), NONE)


CONFIG = replace(COMPARED, num_hidden_layers=2, max_position_embeddings=256)


def with_fused_experts(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """By transformers' names: gate and up of the experts in one."""
    tensors = dict(tensors)
    for name in [name for name in tensors if name.endswith("experts.gate_proj")]:
        up = name.replace("gate_proj", "up_proj")
        fused = torch.cat((tensors.pop(name), tensors.pop(up)), dim=1)
        tensors[name.replace("gate_proj", "gate_up_proj")] = fused
    return tensors


def stepped(model: nn.Module, logits: Callable[[Tensor], Tensor], **settings: Any) -> None:
    """One step on the same tokens."""
    optimizer = MuonClip(
        model.named_parameters(), lr=1e-2, ns_dtype=torch.float32, nesterov=True, **settings
    )
    tokens = torch.randint(4, 300, (4, 33), generator=torch.Generator().manual_seed(0))
    scores = logits(tokens[:, :-1]).flatten(0, 1)
    nn.functional.cross_entropy(scores, tokens[:, 1:].flatten()).backward()
    optimizer.step()


def test_transformers_deepseek_with_fused_experts_takes_our_networks_step() -> None:
    ours = K2Model(CONFIG).initialize(0)
    theirs = DeepseekV3ForCausalLM(
        DeepseekV3Config(**CONFIG.to_dict() | {"model_type": "deepseek_v3"})
    )
    before = with_fused_experts({n: t.clone() for n, t in ours.state_dict().items()})
    theirs.load_state_dict(before)
    stepped(ours, lambda tokens: ours.lm_head(ours(tokens)))
    stepped(theirs, lambda tokens: theirs(tokens).logits, fused={"*.experts.gate_up_proj": 2})
    after, wanted = theirs.state_dict(), with_fused_experts(ours.state_dict())
    for name, tensor in wanted.items():
        moved = (after[name] - before[name]).norm()
        error = (after[name] - tensor).norm()
        assert error <= 1e-5 * moved, f"{name}: {error:.1e} of {moved:.1e}"
