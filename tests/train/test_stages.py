"""The report's stages one after the other (2.5): pre-training, annealing, long rows, YaRN."""

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from openk2.architecture import ModelConfig, Yarn
from openk2.chat import Tokenizer
from openk2.checkpoint import load_model
from openk2.config import RecipeError, read_recipe
from openk2.data import pack_stream
from openk2.data.chat_dataset import text_documents
from openk2.model import ContiguousCache, K2Model
from openk2.optim import WarmupStableDecay
from openk2.record.metrics import read_metrics
from openk2.synthesis import generate
from openk2.train.loop import train
from openk2.train.recipe import Context, DataPart, Memory, Recipe

RECIPES = Path(__file__).parents[2] / "recipes"
YARN = Yarn(4.0, 96, beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0)


@pytest.fixture(scope="module")
def stages(material: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of four runs, each from the checkpoint of the one before."""
    out = tmp_path_factory.mktemp("stages")
    tokenizer = Tokenizer.load(material / "tokenizer")
    texts = [json.dumps(conversation) for conversation in generate(0, 60, "train")]
    rows = pack_stream(text_documents(texts, tokenizer), 256, tokenizer.special("[PAD]"))
    rows.save(out / "long.safetensors")

    first = read_recipe(material / "pretrain.toml", Recipe)
    assert first.shape is not None
    first = dataclasses.replace(
        first,
        shape=dataclasses.replace(first.shape, max_position_embeddings=96),
        optimization=dataclasses.replace(
            first.optimization, sequence_balance=0.001, products="float32"
        ),
        memory=Memory(recompute=("norms", "swiglu", "mla_up", "moe_down"), fp8_inputs=True),
    )
    anneal = dataclasses.replace(
        first,
        shape=None,
        start=out / "pretrain" / "checkpoint",
        schedule=WarmupStableDecay(1e-3, 3.5e-4, warmup=0, stable=0, decay=4),
    )
    long = dataclasses.replace(
        anneal,
        start=out / "anneal" / "checkpoint",
        context=Context(256, Yarn(3.0, 96, beta_fast=1.0, mscale=1.0, mscale_all_dim=1.0)),
        data=(DataPart(out / "long.safetensors", 1.0),),
        schedule=WarmupStableDecay(3.5e-4, 3.5e-4, warmup=0, stable=2, decay=0),
    )
    yarn = dataclasses.replace(long, start=out / "long" / "checkpoint", context=Context(384, YARN))
    recipes = {"pretrain": first, "anneal": anneal, "long": long, "yarn": yarn}
    for name, recipe in recipes.items():
        train(recipe, out / name)
    return {name: out / name for name in recipes}


def test_each_stage_exports_the_window_it_trained_for(stages: dict[str, Path]) -> None:
    windows = {}
    for name, folder in stages.items():
        data = json.loads((folder / "checkpoint" / "config.json").read_text())
        windows[name] = data["max_position_embeddings"], data["rope_scaling"]
    assert windows["pretrain"] == windows["anneal"] == (96, None)
    assert windows["long"][0] == 256
    assert windows["long"][1]["factor"] == 3.0
    assert windows["yarn"] == (384, {"type": "yarn", **dataclasses.asdict(YARN)})
    assert ModelConfig.read(stages["yarn"] / "checkpoint").rope_scaling == YARN


def test_annealing_begins_at_its_own_rate_and_ends_at_the_last(stages: dict[str, Path]) -> None:
    rates = [row["lr"] for row in read_metrics(stages["anneal"] / "metrics.jsonl")]
    assert rates[0] == 1e-3
    assert all(a > b for a, b in pairwise(rates))
    assert rates[-1] > 3.5e-4
    assert {row["lr"] for row in read_metrics(stages["long"] / "metrics.jsonl")} == {3.5e-4}


def test_every_stage_learns_and_reports_its_experts_load(stages: dict[str, Path]) -> None:
    losses = {name: read_metrics(folder / "metrics.jsonl") for name, folder in stages.items()}
    assert losses["anneal"][-1]["loss"] < losses["pretrain"][0]["loss"] - 0.5
    assert losses["yarn"][-1]["loss"] < losses["pretrain"][0]["loss"] - 0.5
    for row in (row for rows in losses.values() for row in rows):
        assert row["balance_loss"] > 0
        assert row["load_violations"][0] == 0.0
        assert row["load_violation"] == max(row["load_violations"])
        assert row["load_violations"][row["load_layer"]] == row["load_violation"]
        assert row["idle_experts"] == sum(row["idle_by_layer"])


def test_the_last_stage_reads_and_writes_beyond_the_first_window(stages: dict[str, Path]) -> None:
    """In a window four times as long the loss does not rise towards the end as it does without
    YaRN's frequencies; token by token over a cache gives what the whole gives."""
    model = load_model(stages["yarn"] / "checkpoint", dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, 256, (1, 384), generator=generator)
    with torch.no_grad():
        whole = model(tokens)
        cache = ContiguousCache(model.config, 1, 384)
        model(tokens[:, :380], positions=torch.arange(380)[None], cache=cache)
        for place in range(380, 384):
            one = model(
                tokens[:, place : place + 1], positions=torch.tensor([[place]]), cache=cache
            )
            torch.testing.assert_close(one[:, 0], whole[:, place], atol=1e-4, rtol=1e-4)
    assert torch.isfinite(model.lm_head(whole)).all()
    other = K2Model(dataclasses.replace(model.config, rope_scaling=None))
    other.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert (other(tokens) - whole).abs().max() > 1e-3, "YaRN is not computed"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (Context(64), r"max_position_embeddings is 64, less than the 96 of the network"),
        (Context(1000, YARN), r"is 1000, more than YaRN's factor 4.0 times .* 96"),
        (
            Context(256, dataclasses.replace(YARN, original_max_position_embeddings=128)),
            "128, more",
        ),
    ],
)
def test_a_context_that_does_not_fit_the_start_is_refused(
    stages: dict[str, Path], tmp_path: Path, context: Context, message: str, material: Path
) -> None:
    recipe = dataclasses.replace(
        read_recipe(material / "pretrain.toml", Recipe),
        shape=None,
        start=stages["anneal"] / "checkpoint",
        context=context,
    )
    with pytest.raises(RecipeError, match=f"context: .*{message}"):
        train(recipe, tmp_path)


def test_the_networks_own_yarn_is_kept_and_its_reach_respected(stages: dict[str, Path]) -> None:
    config = ModelConfig.read(stages["yarn"] / "checkpoint")
    assert Context(384).extend(config) == config
    with pytest.raises(ValueError, match="more than YaRN's factor"):
        Context(400).extend(config)


@pytest.mark.parametrize("family", ["nano", "small", "one-gpu"])
def test_the_recipes_of_a_family_fit_one_another(family: str) -> None:
    recipes = {
        name: read_recipe(RECIPES / family / f"{name}.toml", Recipe)
        for name in ("pretrain", "anneal", "long", "yarn")
    }
    before = {
        "anneal": "base" if family == "nano" else "pretrain",
        "long": "anneal",
        "yarn": "long",
    }
    for name, stage in before.items():
        assert recipes[name].start == Path(f"out/{family}/{stage}/checkpoint")
    shape = recipes["pretrain"].shape
    assert shape is not None
    config = ModelConfig(**dataclasses.asdict(shape), vocab_size=4096)
    lengths = [int(r.data[0].path.stem.rpartition("-")[2]) for r in recipes.values()]
    for length, recipe in zip(lengths, recipes.values(), strict=True):
        config = recipe.context.extend(config) if recipe.context else config
        assert all(part.path.stem.endswith(f"-{length}") for part in recipe.data)
        assert length <= config.max_position_embeddings
        assert recipe.rows * length == recipes["pretrain"].rows * lengths[0]
        if recipe.context and recipe.context.yarn:
            assert recipe.context.yarn.original_max_position_embeddings == lengths[0]
    ends = [(r.schedule(0), r.schedule(r.steps)) for r in recipes.values()]
    for (_, end), (start, _) in pairwise(ends):
        assert start == pytest.approx(end), "a stage goes on at the rate where the one before ended"
    assert ends[1][1] / ends[1][0] == pytest.approx(7e-6 / 2e-5)
