import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from openk2.checkpoint import load_model
from openk2.config import RecipeError, read_recipe
from openk2.parallel import Fleet, Layout
from openk2.record.metrics import read_metrics
from openk2.train.loop import train
from openk2.train.recipe import Memory, Recipe
from openk2.train.setup import check_split

EXACT = "full_precision_newton_schulz = true\n"


def recipe_file(material: Path, folder: Path, name: str, layout: str) -> Path:
    """The tiny run in full precision, in passes of one row."""
    text = (material / "pretrain.toml").read_text().replace("micro_rows = 2", "micro_rows = 1")
    path = folder / f"{name}.toml"
    path.write_text(text.replace("[optimization]\n", "[optimization]\n" + EXACT) + layout)
    return path


@pytest.fixture(scope="module")
def runs(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """one/, a run of one process; two/, the same of a pipeline of two, by the command."""
    folder = tmp_path_factory.mktemp("pipeline")
    one = recipe_file(material, folder, "one", "")
    two = recipe_file(material, folder, "two", "\n[layout]\npipeline = 2\n")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = ["--nproc-per-node=2", "-m", "openk2.cli.main", "pretrain", two, "--out"]
    done = subprocess.run(
        [*torchrun, *command, folder / "two"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    train(read_recipe(one, Recipe), folder / "one")
    return folder


def assert_same_steps(found: Path, wanted: Path) -> None:
    rows, others = (read_metrics(out / "metrics.jsonl") for out in (found, wanted))
    assert [row["step"] for row in rows] == [row["step"] for row in others] == list(range(8))
    assert [row["clipped_heads"] for row in rows] == [row["clipped_heads"] for row in others]
    for key in ("loss", "grad_norm", "max_logit", "load_violation"):
        assert [row[key] for row in rows] == pytest.approx([r[key] for r in others], rel=1e-4), key


def test_a_pipelines_run_is_one_processs_run(runs: Path) -> None:
    assert_same_steps(runs / "two", runs / "one")
    one, two = (load_model(runs / name / "checkpoint").state_dict() for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert float((tensor - two[name]).abs().max()) <= 0.02 * float(tensor.abs().max()), name


def test_one_process_goes_on_from_a_pipelines_state(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "two" / "state" / "step-00000006", tmp_path / "state" / "step-00000006")
    rows = (runs / "two" / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text("".join(rows[:6]))
    train(read_recipe(runs / "one.toml", Recipe), tmp_path)
    assert_same_steps(tmp_path, runs / "one")


def test_a_step_with_too_few_micro_batches_is_refused_by_name(material: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    layout = Layout(pipeline=4)
    recipe = dataclasses.replace(recipe, layout=layout)
    with pytest.raises(RecipeError, match=r"2 micro-batches .* do not fill layout\.pipeline 4"):
        check_split(recipe, Fleet(layout, 0, 4))


def test_a_zero_bubble_with_a_float32_sum_of_bfloat16_gradients_is_refused(material: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    narrow = dataclasses.replace(recipe.optimization, products="bfloat16")
    recipe = dataclasses.replace(recipe, optimization=narrow)
    layout = Layout(pipeline=2, zero_bubble=True)
    memory = Memory(parameters="bfloat16")
    with pytest.raises(ValueError, match=r"zero_bubble beside memory\.parameters bfloat16"):
        dataclasses.replace(recipe, layout=layout, memory=memory)
    dataclasses.replace(recipe, layout=layout, memory=Memory("bfloat16", "bfloat16"))
