import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.config import RecipeError, read_recipe
from openk2.model import K2Model
from openk2.model.copying_start import CopyingStart
from openk2.parallel import ALONE, Sharding
from openk2.parallel.sharding import HeldRows
from openk2.train.loop import train
from openk2.train.recipe import Recipe
from openk2.train.start import EMBEDDING, HEAD, Fresh

CONFIG = ModelConfig(
    vocab_size=300,
    hidden_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    q_lora_rank=40,
    kv_lora_rank=80,
    qk_nope_head_dim=40,
    qk_rope_head_dim=32,
    v_head_dim=40,
    intermediate_size=64,
    moe_intermediate_size=32,
    n_routed_experts=4,
    num_experts_per_tok=2,
    max_position_embeddings=64,
    bos_token_id=0,
    eos_token_id=1,
    pad_token_id=2,
)
FRESH = Fresh(CONFIG, 5, 0.5, 0.16, CopyingStart(CONFIG, "induction", 0.5))


def filled(fresh: Fresh) -> dict[str, torch.Tensor]:
    model = K2Model(CONFIG)
    with torch.no_grad():
        fresh.fill(Sharding(model, ALONE))
    return model.state_dict()


def test_ranks_that_hold_some_rows_start_with_the_whole_networks_numbers() -> None:
    whole = filled(FRESH)
    parts = {name: torch.empty_like(tensor) for name, tensor in whole.items()}
    edges = [0.0, 0.3, 0.31, 1.0]

    def held() -> Iterator[HeldRows]:
        for name, tensor in parts.items():
            cuts = [round(edge * len(tensor)) for edge in edges]
            for first, end in pairwise(cuts):
                yield HeldRows(name, tensor[first:end], first, len(tensor))

    cut = SimpleNamespace(model=K2Model(CONFIG), held=held)
    FRESH.fill(cast(Sharding, cut))
    for name, tensor in whole.items():
        assert torch.equal(parts[name], tensor), name


def test_the_head_starts_as_a_multiple_of_the_embedding_that_copying_changed() -> None:
    state = filled(FRESH)
    assert state[EMBEDDING][:, -1].unique().tolist() == [4.0]
    assert torch.equal(state[HEAD], 0.16 * state[EMBEDDING])


def test_only_what_is_named_differs_from_a_start_without_it() -> None:
    circuit = CopyingStart(CONFIG, "previous-token", 0.02)
    with_head, plain = filled(Fresh(CONFIG, 5, 0.02, 0.0, circuit)), filled(Fresh(CONFIG, 5, 0.02))
    differing = {name for name, tensor in plain.items() if not torch.equal(tensor, with_head[name])}
    assert differing == {name for name in plain if circuit.writes(name)}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ("embedding_std = 0.0", "embedding_std is 0.0: it must be"),
        ('copying_start = "previous"', "'copying_start' is 'previous'; it must be one of"),
        ('copying_start = "induction"', "copying_start is set without embedding_std"),
        ("copying_score_every = -1", "copying_score_every is -1"),
    ],
)
def test_keys_of_a_start_are_obeyed_or_refused(
    material: Path, tmp_path: Path, keys: str, message: str
) -> None:
    text = (material / "pretrain.toml").read_text()
    (tmp_path / "r.toml").write_text(f"{keys}\n{text}")
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "r.toml", Recipe)


def test_a_shape_without_room_is_refused_by_key_and_size(material: Path, tmp_path: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    recipe = dataclasses.replace(
        recipe, embedding_std=0.5, head_from_embedding=0.16, copying_start="induction"
    )
    with pytest.raises(RecipeError, match="copying_start: hidden_size is 32"):
        train(recipe, tmp_path)
