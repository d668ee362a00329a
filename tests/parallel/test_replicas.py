import subprocess
import sys
from pathlib import Path

import pytest

from openk2.config import RecipeError, read_recipe
from openk2.parallel import Replicas
from openk2.record.metrics import read_metrics
from openk2.train.loop import check_split, train
from openk2.train.recipe import Recipe

SAME = ("step", "lr", "tokens", "learned_tokens")


def torchrun(processes: int, recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = ["-m", "openk2.cli.main", "pretrain", str(recipe), "--out", str(out)]
    return subprocess.run(
        [*torchrun, "--nproc-per-node", str(processes), *command], capture_output=True, text=True
    )


def test_two_processes_learn_what_one_learns(material: Path, tmp_path: Path) -> None:
    done = torchrun(2, material / "pretrain.toml", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint in ") == 1
    train(read_recipe(material / "pretrain.toml", Recipe), tmp_path / "one")
    two, one = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("two", "one"))
    assert [{key: row[key] for key in SAME} for row in two] == [
        {key: row[key] for key in SAME} for row in one
    ]
    # The first step computes the same sums in another order; bfloat16 products part ways after it.
    for key in ("loss", "grad_norm", "max_logit"):
        assert two[0][key] == pytest.approx(one[0][key], rel=1e-4)
    assert two[0]["load_violation"] == one[0]["load_violation"]
    assert two[-1]["loss"] == pytest.approx(one[-1]["loss"], rel=0.02)


def test_a_step_that_cannot_be_shared_is_refused_by_name(material: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    with pytest.raises(RecipeError, match="rows 4 in passes of micro_rows 2 are 2 passes, which 3"):
        check_split(recipe, Replicas(0, 3))
