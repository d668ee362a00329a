import dataclasses
import re
from pathlib import Path

import pytest

from openk2.config import RecipeError, read_recipe
from openk2.train.loop import train
from openk2.train.recipe import Memory, Recipe


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rows = 4", "rows = 0", "rows is 0"),
        ("micro_rows = 2", "micro_rows = 0", "micro_rows is 0"),
        ("micro_rows = 2", "micro_rows = 3", "not a multiple"),
        ("checkpoint_every = 2", "checkpoint_every = 0", "checkpoint_every is 0"),
        ("seed = 3", "seed = -3", "seed is -3"),
        ("peak = 1e-2", "peak = -1e-2", "schedule: peak is -0.01"),
        ("warmup = 2", "warmup = -2", "schedule: warmup is -2"),
        ("final = 1e-3", "final = nan", "schedule: final is nan"),
        ("warmup = 2\nstable = 4\ndecay = 2", "warmup = 0\nstable = 0\ndecay = 0", "steps is 0"),
        ("weight = 0.5", "weight = 0.0", r"data\[0\]: weight is 0"),
        ("weight = 0.5", "weight = inf", r"data\[0\]: weight is inf"),
        ("tau = 0.038", "tau = 0.0", "optimization: tau is 0"),
        ("tau = 0.038", "momentum = 1.0", "optimization: momentum is 1"),
        ("num_experts_per_tok = 2", "num_experts_per_tok = 5", "shape: num_experts_per_tok is 5"),
        ("hidden_size = 32", "hidden_size = 0", "shape: hidden_size is 0"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_its_key(
    material: Path, tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = (material / "pretrain.toml").read_text()
    changed = re.sub(rf"^{re.escape(old)}$", new, text, count=1, flags=re.MULTILINE)
    assert changed != text
    (tmp_path / "r.toml").write_text(changed)
    with pytest.raises(RecipeError, match=rf"r\.toml: .*{message}"):
        read_recipe(tmp_path / "r.toml", Recipe)


OPTIMIZATION = '[optimization]\ntau = 0.038\nproducts = "float32"\n'


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[memory]\nrecompute = ["layer"]', r"'memory.recompute\[0\]' is 'layer'; it must be one"),
        ('[memory]\nrecompute = ["norms", "norms"]', "memory: recompute is .* name each part once"),
        ('[memory]\ngradients = "bfloat16"', "memory: gradients is bfloat16 beside float32"),
        ("[memory]\noffloading = true", "unknown key 'memory.offloading'; .* 'memory.offload'"),
        (
            '[memory]\nparameters = "bfloat16"\n[optimization]\nproducts = "float32"',
            "products is float32 beside memory.parameters bfloat16",
        ),
        ("[context]\nmax_position_embeddings = 512", r"context is set beside \[shape\]"),
        ("[loss]\nvalues = -1.0", r"loss: values is -1.0: it must be a finite number, 0 or more"),
        ("[loss]\nvalue = 4.0", r"unknown key 'loss.value'; .* 'loss.values'"),
        ("[optimization]\nsequence_balance = -1.0", "sequence_balance is -1.0: it must be"),
    ],
)
def test_memory_context_and_loss_are_obeyed_or_refused(
    material: Path, tmp_path: Path, table: str, message: str
) -> None:
    text = (material / "pretrain.toml").read_text().replace(OPTIMIZATION, "")
    (tmp_path / "r.toml").write_text(f"{text}\n{table}\n")
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "r.toml", Recipe)


def test_offload_on_a_cpu_is_refused(material: Path, tmp_path: Path) -> None:
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    recipe = dataclasses.replace(recipe, memory=Memory(offload=True))
    with pytest.raises(RecipeError, match=r"memory\.offload needs cuda, the device is cpu"):
        train(recipe, tmp_path)


def test_one_process_and_two_can_share_the_steps_of_the_built_in_models() -> None:
    """`runs/nano.sh` starts as many as there are cores, 2 at most."""
    root = Path(__file__).parents[2]
    names = set(re.findall(r"recipes/nano/[\w-]+\.toml", (root / "runs/nano.sh").read_text()))
    assert len(names) == 6
    for name in names:
        recipe = read_recipe(root / name, Recipe)
        assert recipe.rows // recipe.micro_rows % 2 == 0, name
