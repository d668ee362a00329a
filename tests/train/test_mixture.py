import dataclasses
from pathlib import Path

import pytest

from openk2.chat import Tokenizer
from openk2.config import RecipeError, read_recipe
from openk2.data import DataError, PackedRows
from openk2.data.rows import RowFile
from openk2.train.loop import train
from openk2.train.mixture import open_mixture
from openk2.train.recipe import DataPart, Recipe


def recipe_of(material: Path, **changes: object) -> Recipe:
    return dataclasses.replace(read_recipe(material / "pretrain.toml", Recipe), **changes)


def test_rows_that_do_not_fit_the_recipe_are_refused_by_name(
    material: Path, tmp_path: Path
) -> None:
    rows = RowFile(material / "text.safetensors").read()
    foreign = rows.tokens.copy()
    foreign[-1, 5] = 700
    tokens = list(Tokenizer.load(material / "tokenizer").tokens)
    swapped = Tokenizer([tokens[1], tokens[0], *tokens[2:]]).digest()
    bad = tmp_path / "bad.safetensors"
    for wrong, tokenizer, message in (
        (
            PackedRows(rows.tokens[:, :90], rows.segments[:, :90], rows.learned[:, :90]),
            None,
            r"bad\S* .* 90 tokens",
        ),
        (
            dataclasses.replace(rows, tokens=foreign),
            None,
            r"bad\S* holds id 700, \S+ has ids 0 to 699",
        ),
        (rows, swapped, r"bad\S* was packed with another tokenizer than \S+tokenizer"),
    ):
        wrong.save(bad, tokenizer)
        parts = (*recipe_of(material).data, DataPart(bad, 1.0))
        with pytest.raises(DataError, match=message):
            train(recipe_of(material, data=parts), tmp_path / "out")
    short = dataclasses.replace(recipe_of(material).shape, max_position_embeddings=64)
    with pytest.raises(RecipeError, match=r"96 tokens, more than .* 64"):
        train(recipe_of(material, shape=short), tmp_path / "out")


def test_a_part_is_not_read_more_often_than_it_may(material: Path) -> None:
    tokenizer = Tokenizer.load(material / "tokenizer")
    text, chat = recipe_of(material).data

    def at_most(epochs: float) -> Recipe:
        return recipe_of(material, data=(dataclasses.replace(text, max_epochs=epochs), chat))

    epochs = open_mixture(recipe_of(material), tokenizer).epochs(4 * 8)[0]
    open_mixture(at_most(epochs), tokenizer)
    message = rf"text\S* would be read {epochs:.2f} times, its max_epochs is"
    with pytest.raises(RecipeError, match=message):
        open_mixture(at_most(epochs * 0.99), tokenizer)
