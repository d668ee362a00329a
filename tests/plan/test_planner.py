"""The dry run: its bytes against the report's and against real tensors."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from openk2.architecture import (
    ModelConfig,
    count_parameters,
    layer_flops,
    training_flops,
)
from openk2.cli.main import app
from openk2.config import RecipeError, read_recipe
from openk2.plan import Machine, Plan, Planner, find_subject, measured, planner, verdict
from openk2.train.recipe import Recipe
from tiny import PLANNED

K2 = Path("recipes/k2")


@pytest.fixture(scope="module", autouse=True)
def layers_measured_once() -> Iterator[None]:
    """Many plans here are of the same layers, each of which takes a second to measure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "layer_kept", functools.cache(planner.layer_kept))
        yield


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


def test_k2s_parameters_and_operations_are_those_of_arithmetic_by_hand(
    k2: tuple[Recipe, ModelConfig],
) -> None:
    """Report, table 2: 1.04T in all, 32.6B active. Here from the shapes of config.json alone."""
    hidden, heads, vocabulary = 7168, 64, 163840
    attention = hidden * 1536 + 1536 * heads * (128 + 64)  # query, down and up
    attention += hidden * (512 + 64) + 512 * heads * (128 + 128)  # key and value
    attention += heads * 128 * hidden  # output
    norms = 2 * hidden + 1536 + 512
    expert, router = 3 * hidden * 2048, hidden * 384
    dense = 3 * hidden * 18432
    matrices_met = 61 * attention + dense + 60 * (router + 9 * expert)
    rest = 61 * norms + hidden + 60 * 384  # norms, the last one, routers' biases
    total = 61 * attention + dense + 60 * (router + 385 * expert) + rest + 2 * vocabulary * hidden
    _, config = k2
    count = count_parameters(config)
    assert (count.total, count.active) == (
        total,
        matrices_met + rest + 2 * vocabulary * hidden,
    )
    assert count.total == pytest.approx(1.04e12, rel=0.02)
    assert count.active == pytest.approx(32.6e9, rel=0.01)
    # 6 a parameter of a matrix, the head's among them; attention has 2,048.5 keys a query.
    scores = 61 * heads * 2048.5 * (192 + 128)
    by_hand = 6 * (matrices_met + vocabulary * hidden + scores)
    assert training_flops(config, 4096) == by_hand
    assert by_hand == pytest.approx(205.5e9, rel=1e-3)


def test_mfu_is_what_the_tokens_need_over_what_the_gpus_could_do(tmp_path: Path) -> None:
    machine = Machine(flops=1e9, efficiency=0.5)
    plan = Planner(tiny_recipe(tmp_path), PLANNED, 32, machine).plan(4)
    step = plan.step(overlap=True)
    needed = 8 * 32 * training_flops(PLANNED, 32)
    assert plan.mfu(step) == pytest.approx(needed / step.total / 4e9)
    assert 0 < plan.mfu(plan.step(overlap=False)) <= plan.mfu(step) < 0.5


def test_a_plan_fits_to_the_byte_or_says_no(tmp_path: Path) -> None:
    recipe = tiny_recipe(tmp_path)
    recipe = dataclasses.replace(recipe, memory=dataclasses.replace(recipe.memory, offload=True))
    plan = Planner(recipe, PLANNED, 32, Machine(node=2), fused=True).plan(4)
    assert plan.device == max(rank.device for rank in plan.ranks)
    assert plan.on_host == 2 * max(sum(rank.on_host.values()) for rank in plan.ranks) > 0

    def with_room(memory: int, ram: int) -> Plan:
        machine = Machine(node=2, memory=memory, ram=ram)
        return dataclasses.replace(plan, machine=machine)

    assert with_room(plan.device, plan.on_host).fits
    assert verdict(with_room(plan.device, plan.on_host)).startswith("fits with attention as one")
    for short in (with_room(plan.device - 1, plan.on_host), with_room(plan.device, 1)):
        assert not short.fits
        assert verdict(short).startswith("DOES NOT FIT")
    assert "without memory.offload" in verdict(with_room(plan.device, 1))


def test_rows_have_the_recipes_length_and_not_the_windows() -> None:
    recipe = read_recipe(K2 / "anneal-32k.toml", Recipe)
    shape = read_recipe(K2 / "pretrain.toml", Recipe).shape
    subject = find_subject(recipe, vocabulary=64, shape=shape)
    assert (subject.length, subject.config.max_position_embeddings) == (32768, 131072)
    assert subject.assumed == ()
    assert find_subject(recipe, vocabulary=64, length=512, shape=shape).length == 512


def test_a_measured_rate_is_one_that_the_processor_has() -> None:
    machine = measured(Machine(), "cpu", 7, "float32")
    assert machine.memory == 7
    assert 1e7 < machine.flops < 1e14
    assert "measured here on cpu: the best float32 product" in machine.source


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
    assert (answer["plans"][0]["attention"], answer["plans"][0]["fits"]) == ("fused", True)
    shown = CliRunner().invoke(app, dry)
    assert "gradients, float32" in shown.output
    assert "8 GPUs" in shown.output
    assert "MFU" in shown.output
    assert "fits with attention as one kernel: a GPU" in shown.output
    small = CliRunner().invoke(
        app, [*dry, "--machine", "measured,memory=1e-6", "--plain-attention"]
    )
    assert small.exit_code == 0, small.output
    assert "DOES NOT FIT with attention in plain operations" in small.output
    assert "measured here on cpu" in small.output
    for wrong in (["--gpus", "4"], []):
        assert CliRunner().invoke(app, [*command, *wrong]).exit_code == 2
    refused = CliRunner().invoke(app, [*dry, "--machine", "nvlnk=3"])
    assert (refused.exit_code, "nvlnk" in refused.output) == (1, True)


@pytest.mark.parametrize(
    ("name", "tokens"), [("pretrain", 15.5e12), ("anneal-4k", 400e9), ("anneal-32k", 60e9)]
)
def test_k2s_recipes_see_the_reports_tokens(name: str, tokens: float) -> None:
    recipe = read_recipe(K2 / f"{name}.toml", Recipe)
    assert recipe.row_length == (32768 if name == "anneal-32k" else 4096)
    assert recipe.rows * recipe.row_length == 2**26
    assert recipe.steps * 2**26 == pytest.approx(tokens, rel=1e-3)
