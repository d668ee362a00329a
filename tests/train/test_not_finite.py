"""A gradient that is not a number, in the middle of a run."""

from pathlib import Path

import pytest
import torch

from openk2.checkpoint import load_model
from openk2.config import read_recipe
from openk2.train import passes
from openk2.train.loop import train
from openk2.train.recipe import Recipe
from openk2.train.resume import list_states
from openk2.train.step import TrainingError


def test_a_nan_ends_the_run_at_its_step_and_the_last_state_resumes(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    plain, calls = passes.loss_of, []

    def broken(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        # Two passes a step: the second one of step 5.
        return plain(*arguments) * (torch.nan if len(calls) == 12 else 1.0)

    monkeypatch.setattr(passes, "loss_of", broken)
    with pytest.raises(TrainingError, match=r"^step 5: loss nan.* no step taken; resume"):
        train(recipe, tmp_path / "out")
    assert list_states(tmp_path / "out" / "state")[-1].name == "step-00000004"
    monkeypatch.undo()
    resumed = train(recipe, tmp_path / "out")
    whole = train(recipe, tmp_path / "whole")
    one, other = (load_model(f, dtype=torch.float32).state_dict() for f in (resumed, whole))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
