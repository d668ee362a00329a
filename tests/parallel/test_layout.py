"""Layouts that do not fit are refused in one line that says what to change."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from openk2.config import RecipeError, read_recipe
from openk2.parallel import Fleet, Layout
from openk2.train.recipe import Recipe
from openk2.train.setup import check_split, join


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"expert": 0}, "expert is 0: it must be at least 1"),
        ({"zero": 2}, "zero is 2: it must be 0, 1 or 3"),
        ({"zero": True}, "zero is True: it must be 0, 1 or 3"),
        ({"patience": 0.0}, "patience is 0.0: it must be a finite number above 0"),
        ({"virtual": 2}, "virtual is 2 with pipeline 1"),
    ],
)
def test_a_layout_out_of_range_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layout(**settings)


def test_a_layout_that_does_not_fit_the_processes_is_refused() -> None:
    assert Layout(pipeline=2, expert=2).data(8) == 4
    with pytest.raises(ValueError, match=r"layout.pipeline 3 does not divide 8 processes"):
        Layout(pipeline=3).data(8)
    with pytest.raises(ValueError, match=r"layout.expert 3 does not divide the 4 data ranks"):
        Layout(pipeline=2, expert=3).data(8)


def test_a_layout_that_does_not_fit_the_network_is_refused() -> None:
    Layout(pipeline=2, virtual=2, expert=4).check_network(layers=4, experts=8)
    with pytest.raises(ValueError, match=r"4 stages .* for 3 layers"):
        Layout(pipeline=2, virtual=2).check_network(layers=3, experts=8)
    with pytest.raises(ValueError, match=r"layout.expert 3 does not divide the 8 experts"):
        Layout(expert=3).check_network(layers=4, experts=8)


def test_places_cover_the_fleet_and_experts_are_nearest() -> None:
    fleets = [Fleet(Layout(pipeline=2, expert=2), rank, 8) for rank in range(8)]
    places = [(f.pipeline_rank, f.data_rank, f.expert_rank) for f in fleets]
    assert places == [(r // 4, r % 4, r % 2) for r in range(8)]


def test_a_layout_without_torchrun_is_refused_by_name(material: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    recipe = dataclasses.replace(recipe, layout=Layout(expert=2))
    with pytest.raises(RecipeError, match=r"expert 2 does not divide the 1 data .* torchrun"):
        join(recipe, "cpu")


def test_a_step_that_cannot_be_shared_is_refused_by_name(material: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    with pytest.raises(
        RecipeError, match="rows 4 in passes of micro_rows 2 are 2 passes, which 3 data ranks"
    ):
        check_split(recipe, Fleet(Layout(), 0, 3))
