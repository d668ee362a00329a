import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from openk2.checkpoint import load_model
from openk2.config import read_recipe
from openk2.record.metrics import read_metrics
from openk2.train.loop import train
from openk2.train.recipe import Recipe
from openk2.train.resume import STATE, TENSORS, StateError, list_states


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_model(checkpoint, dtype=torch.float32).state_dict()


def assert_bit_equal(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def recipe_of(material: Path, **changes: object) -> Recipe:
    return dataclasses.replace(read_recipe(material / "pretrain.toml", Recipe), **changes)


@pytest.fixture(scope="module")
def whole_run(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    train(recipe_of(material), out)
    return out


def test_a_run_learns_clips_and_writes_every_step_once(whole_run: Path) -> None:
    rows = read_metrics(whole_run / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(8))
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.5
    assert any(row["clipped_heads"] > 0 for row in rows)


def test_an_interrupted_run_resumes_bit_exactly(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    class Interruption(Exception):
        pass

    def interrupt(progress: object) -> None:
        if progress.step == 5:
            raise Interruption

    with pytest.raises(Interruption):
        train(recipe_of(material), tmp_path, show=interrupt)
    assert list_states(tmp_path / "state")[-1].name == "step-00000004"
    resumed = train(recipe_of(material), tmp_path)
    assert_bit_equal(resumed, whole_run / "checkpoint")
    one, other = (read_metrics(out / "metrics.jsonl") for out in (tmp_path, whole_run))
    for row in (*one, *other):
        row.pop("tokens_per_second")
    assert one == other


@pytest.mark.parametrize("delay", [0.0, 0.15])
def test_kill_nine_at_any_instant_loses_only_steps_since_the_checkpoint(
    material: Path, whole_run: Path, tmp_path: Path, delay: float
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "import torch; torch.set_num_threads(int(sys.argv[3]))\n"
        "from openk2.config import read_recipe\n"
        "from openk2.train.recipe import Recipe\n"
        "from openk2.train.loop import train\n"
        "recipe = read_recipe(Path(sys.argv[1]), Recipe)\n"
        "train(recipe, Path(sys.argv[2]), show=lambda p: print(p.step, flush=True))\n"
    )
    arguments = [material / "pretrain.toml", tmp_path, torch.get_num_threads()]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "6":
            break
    # Step 6 has just been printed and its state is being written: with no delay the kill falls
    # into the write, with some it falls after it.
    time.sleep(delay)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert list_states(tmp_path / "state")[-1].name in ("step-00000004", "step-00000006")
    assert_bit_equal(train(recipe_of(material), tmp_path), whole_run / "checkpoint")


def test_a_damaged_state_is_refused_by_name(material: Path, tmp_path: Path) -> None:
    train(recipe_of(material), tmp_path)
    newest = list_states(tmp_path / "state")[-1]
    content = bytearray((newest / TENSORS).read_bytes())
    content[-5] ^= 1
    (newest / TENSORS).write_bytes(content)
    with pytest.raises(StateError, match=r"step-00000008.*damaged"):
        train(recipe_of(material), tmp_path)


def test_a_run_of_another_recipe_is_not_resumed(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(StateError, match="another recipe"):
        train(recipe_of(material, seed=9), whole_run)


def test_a_longer_schedule_continues_the_same_run(material: Path, tmp_path: Path) -> None:
    recipe = recipe_of(material)
    train(recipe, tmp_path)
    longer = dataclasses.replace(recipe.schedule, stable=recipe.schedule.stable + 1)
    train(dataclasses.replace(recipe, schedule=longer), tmp_path)
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == recipe.steps + 1


def test_fine_tuning_starts_from_a_checkpoint(
    material: Path, whole_run: Path, tmp_path: Path
) -> None:
    start = whole_run / "checkpoint"
    tuned = train(recipe_of(material, shape=None, start=start), tmp_path)
    before, after = weights(start), weights(tuned)
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_state_files_hold_no_pickle(whole_run: Path) -> None:
    newest = list_states(whole_run / "state")[-1]
    assert sorted(path.name for path in newest.iterdir()) == sorted([STATE, TENSORS])
    json.loads((newest / STATE).read_text())
