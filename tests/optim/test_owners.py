"""Which optimizer owns a tensor; fused names: muon/test_fused.py."""

import pytest
import torch
from torch import nn

from openk2.optim import (
    MuonClip,
    assign_owners,
)


def named(*shapes: tuple[str, tuple[int, ...]]) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes}


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


def test_a_part_of_a_network_may_lack_the_embedding_and_the_head() -> None:
    parameters = named(("model.layers.1.mlp.gate.weight", (3, 4)), ("lm_head.weight", (20, 4)))
    owners = assign_owners(parameters.items(), partial=True)
    assert [o.owner for o in owners] == ["muon", "adamw"]
    with pytest.raises(ValueError, match="embed_tokens"):
        assign_owners(parameters.items())


@pytest.mark.parametrize("shape", [(8, 0), (0, 8), (2, 8, 0)])
def test_a_matrix_without_elements_is_refused_by_name_and_adamw_takes_it(
    shape: tuple[int, ...],
) -> None:
    parameters = named(("empty", shape), ("w", (3, 4)))
    with pytest.raises(ValueError, match=r"empty \[.*0.*\]: a matrix without elements .* `adamw`"):
        MuonClip(parameters.items(), adamw=())
    optimizer = MuonClip(parameters.items(), adamw=("empty",))
    for parameter in parameters.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.clip_gradients(1.0)
    optimizer.step()
