"""The dry run: its bytes against the report's and against real tensors."""

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openk2.architecture import ModelConfig, count_parameters, layer_flops
from openk2.cli.main import app
from openk2.config import RecipeError, read_recipe
from openk2.plan import Machine, Planner
from openk2.train.recipe import Recipe
from tiny import PLANNED

K2 = Path("recipes/k2")


@pytest.fixture(scope="module")
def k2() -> tuple[Recipe, ModelConfig]:
    recipe = read_recipe(K2 / "pretrain.toml", Recipe)
    assert recipe.shape is not None
    return recipe, ModelConfig(**dataclasses.asdict(recipe.shape), vocab_size=163840)


def test_k2s_operations_follow_its_active_parameters(k2: tuple[Recipe, ModelConfig]) -> None:
    _, config = k2
    flops = sum(layer_flops(config, layer, 4096).total for layer in range(61))
    attention = sum(layer_flops(config, layer, 4096).attention for layer in range(61))
    matrices = flops - attention + 2 * config.hidden_size * config.vocab_size
    active = count_parameters(config).active_without_embedding
    assert matrices == pytest.approx(2 * active, rel=1e-4)
    assert attention == 61 * 2 * 4097 / 2 * 64 * (192 + 128)


def test_overlap_never_costs_and_the_plan_refuses_what_does_not_fit(tmp_path: Path) -> None:
    planner = Planner(tiny_recipe(tmp_path), PLANNED, 32, Machine())
    plan = planner.plan(4)
    assert plan.step(overlap=True).total <= plan.step(overlap=False).total
    assert plan.step(overlap=True).bubble == pytest.approx(1 / (4 + 1))
    with pytest.raises(RecipeError, match=r"3 GPUs: layout\.pipeline 2 does not divide"):
        planner.plan(3)
    with pytest.raises(RecipeError, match="rows 8 in passes of micro_rows 1"):
        planner.plan(12)


def tiny_recipe(folder: Path) -> Recipe:
    file = folder / "recipe.toml"
    file.write_text(
        'tokenizer = "nowhere"\nrows = 8\nmicro_rows = 1\n[shape]\nhidden_size = 32\n'
        "num_hidden_layers = 3\nnum_attention_heads = 2\nq_lora_rank = 16\nkv_lora_rank = 8\n"
        "qk_nope_head_dim = 8\nqk_rope_head_dim = 4\nv_head_dim = 8\nintermediate_size = 48\n"
        "moe_intermediate_size = 16\nn_routed_experts = 4\nnum_experts_per_tok = 2\n"
        "max_position_embeddings = 32\n[layout]\npipeline = 2\nexpert = 2\nzero = 1\n"
        "[schedule]\npeak = 1e-3\nfinal = 0.0\nwarmup = 1\nstable = 2\ndecay = 1\n"
        '[[data]]\npath = "nowhere.safetensors"\nweight = 1.0\n'
    )
    return read_recipe(file, Recipe)


def test_the_command_says_what_it_assumed_and_gives_json(tmp_path: Path) -> None:
    tiny_recipe(tmp_path)
    command = ["pretrain", str(tmp_path / "recipe.toml")]
    dry = [*command, "--dry-run", "--gpus", "4,8", "--vocabulary", "64"]
    result = CliRunner().invoke(app, [*dry, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert "rows of 32 tokens" in answer["assumed"][0]
    assert [plan["gpus"] for plan in answer["plans"]] == [4, 8]
    assert len(answer["plans"][0]["ranks"]) == 2
    shown = CliRunner().invoke(app, dry)
    assert "gradients, float32" in shown.output
    assert "8 GPUs" in shown.output
    for wrong in (["--gpus", "4"], []):
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code == 2
    refused = CliRunner().invoke(app, [*dry, "--machine", "nvlnk=3"])
    assert (refused.exit_code, "nvlnk" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("name", "tokens"), [("pretrain", 15.5e12), ("anneal-4k", 400e9), ("anneal-32k", 60e9)]
)
def test_k2s_recipes_see_the_reports_tokens(name: str, tokens: float) -> None:
    recipe = read_recipe(K2 / f"{name}.toml", Recipe)
    length = 32768 if name == "anneal-32k" else 4096
    assert recipe.rows * length == 2**26
    assert recipe.steps * 2**26 == pytest.approx(tokens, rel=1e-3)
