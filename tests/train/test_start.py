import dataclasses
import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from openk2.chat import Tokenizer
from openk2.config import RecipeError, read_recipe
from openk2.model import K2Model
from openk2.model.copying_start import CopyingStart
from openk2.parallel import ALONE, Sharding
from openk2.parallel.sharding import HeldRows
from openk2.train.loop import train
from openk2.train.recipe import Context, Recipe
from openk2.train.setup import alone, set_up
from openk2.train.start import EMBEDDING, HEAD, Fresh, chat_files_of
from tiny import COPYING

FRESH = Fresh(COPYING, 5, 0.5, 0.16, CopyingStart(COPYING, "induction", 0.5))


def filled(fresh: Fresh) -> dict[str, torch.Tensor]:
    model = K2Model(COPYING)
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

    cut = SimpleNamespace(model=K2Model(COPYING), held=held)
    FRESH.fill(cast(Sharding, cut))
    for name, tensor in whole.items():
        assert torch.equal(parts[name], tensor), name


def test_the_head_starts_as_a_multiple_of_the_embedding_that_copying_changed() -> None:
    state = filled(FRESH)
    assert state[EMBEDDING][:, -1].unique().tolist() == [4.0]
    assert torch.equal(state[HEAD], 0.16 * state[EMBEDDING])


def test_only_what_is_named_differs_from_a_start_without_it() -> None:
    circuit = CopyingStart(COPYING, "previous-token", 0.02)
    with_head, plain = (
        filled(Fresh(COPYING, 5, 0.02, 0.0, circuit)),
        filled(Fresh(COPYING, 5, 0.02)),
    )
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


def test_a_run_keeps_the_names_that_its_tokenizers_folder_gives(
    material: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    shutil.copytree(recipe.tokenizer, tmp_path / "tokenizer")
    number = len(Tokenizer.load(recipe.tokenizer).tokens) + 22
    settings = {"added_tokens_decoder": {str(number): {"content": "<think>"}}}
    (tmp_path / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(settings))
    recipe = dataclasses.replace(recipe, tokenizer=tmp_path / "tokenizer")
    assert set_up(recipe, "cpu", alone(recipe)).tokenizer.special("<think>") == number


@pytest.mark.parametrize(
    ("tuning", "context", "generation", "expected"),
    [
        (True, None, None, {"do_sample": True, "temperature": 0.6}),
        (True, None, {"temperature": 0.9}, {"do_sample": True, "temperature": 0.9}),
        (False, None, None, {}),
        (False, None, {"top_k": 5, "max_length": 64}, {"top_k": 5, "max_length": 64}),
        (False, Context(128), {"top_k": 5, "max_length": 64}, {"top_k": 5}),
    ],
)
def test_sampling_settings_are_the_starts_as_far_as_they_fit_the_result(
    material: Path,
    tmp_path: Path,
    tuning: bool,
    context: Context | None,
    generation: dict[str, object] | None,
    expected: dict[str, object],
) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    shutil.copytree(recipe.tokenizer, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages }}")
    if generation is not None:
        (tmp_path / "base" / "generation_config.json").write_text(json.dumps(generation))
    recipe = dataclasses.replace(recipe, shape=None, start=tmp_path / "base", context=context)
    assert chat_files_of(recipe, tuning).generation == expected
