"""Networks of other kinds than K2's from a recipe: started, stepped, refused where they must be."""

import dataclasses
from pathlib import Path

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.config import RecipeError
from openk2.data import Batch
from openk2.model import K2Model
from openk2.optim import WarmupStableDecay
from openk2.parallel import ALONE, Layout
from openk2.plan import Machine, Planner
from openk2.train.identity import Identity
from openk2.train.passes import MicroBatches
from openk2.train.recipe import DataPart, NetworkShape, Recipe
from openk2.train.setup import make_optimizer
from openk2.train.start import fresh, start_network
from openk2.train.step import balance, train_step
from tiny import KINDS

PLAIN = NetworkShape(64, 3, 4, 32, 96, 40, 8, 3, kv_lora_rank=48, max_position_embeddings=64)
ODD = dataclasses.replace(
    PLAIN,
    q_lora_rank=0,
    n_group=4,
    topk_group=3,
    moe_layer_freq=2,
    n_shared_experts=0,
    tie_word_embeddings=True,
)

# The digest of `PLAIN` from before a recipe could name any other kind of network.
K2_DIGEST = "66111f984b1b51ea5081eaec52bec34b6c8092ea20b855cf2331953c3695d19e"


def recipe_of(shape: NetworkShape, **settings) -> Recipe:
    return Recipe(
        tokenizer=Path("t"),
        data=(DataPart(Path("d"), 1.0),),
        schedule=WarmupStableDecay(1e-2, 1e-3, 1, 2, 3),
        rows=4,
        micro_rows=2,
        shape=shape,
        **settings,
    )


def config_of(shape: NetworkShape) -> ModelConfig:
    return ModelConfig(**shape.fields(), vocab_size=50)


def test_a_tied_network_without_a_query_latent_starts_and_learns() -> None:
    recipe = recipe_of(ODD)
    config = config_of(ODD)
    assert config.q_lora_rank is None
    sharding = start_network(fresh(config, recipe), recipe, "cpu", ALONE)
    model = sharding.model
    assert model.lm_head.weight is model.model.embed_tokens.weight
    optimizer = make_optimizer(recipe.optimization, sharding)
    owners = {owner.name: owner.owner for owner in optimizer.owners}
    assert owners["model.embed_tokens.weight"] == "adamw"
    assert owners["model.layers.2.self_attn.q_proj.weight"] == "muon"
    tokens = torch.randint(0, 50, (4, 16), generator=torch.Generator().manual_seed(0))
    batch = Batch(
        tokens, torch.zeros_like(tokens), tokens.roll(-1, 1), torch.ones_like(tokens).byte()
    )
    optimizer.set_lr(0.01)
    losses = [
        train_step(
            model, optimizer, batch, MicroBatches(model, 2), grad_clip=1.0, bias_speed=0.001
        ).loss
        for _ in range(6)
    ]
    assert losses[-1] < losses[0] - 0.5


def test_ranks_that_hold_embedding_and_head_apart_cannot_tie_them() -> None:
    for layout in (Layout(zero=1), Layout(pipeline=2)):
        with pytest.raises(RecipeError, match="tie_word_embeddings is true beside pipeline"):
            Planner(recipe_of(ODD, layout=layout), config_of(ODD), 64, Machine())
    with pytest.raises(RecipeError, match=r"head_from_embedding is 0\.5 beside tie"):
        fresh(config_of(ODD), recipe_of(ODD, head_from_embedding=0.5))


def test_routers_without_a_bias_are_left_to_the_sequence_wise_loss() -> None:
    config = KINDS["DeepSeek-V2-Lite"]
    model = K2Model(config).initialize(0)
    balance(model, torch.ones(3, config.n_routed_experts), 0.1)
    assert not list(model.buffers())


def test_a_plan_measures_each_kind_of_layer_where_it_is() -> None:
    shape = dataclasses.replace(ODD, tie_word_embeddings=False)
    config = config_of(shape)
    planner = Planner(recipe_of(shape), config, 64, Machine())
    assert [config.is_moe(layer) for layer in range(3)] == [False, False, True]
    assert (planner.first_layer(moe=False), planner.first_layer(moe=True)) == (0, 2)
    all_experts = dataclasses.replace(shape, first_k_dense_replace=0, moe_layer_freq=1)
    planner = Planner(recipe_of(all_experts), config_of(all_experts), 64, Machine())
    assert planner.plan(1).ranks[0].layers == 3


def test_a_k2_shape_keeps_the_identity_that_its_states_hold() -> None:
    """States on disk carry it: keys that came later count only where they are set."""
    assert Identity.of(recipe_of(PLAIN)).digest == K2_DIGEST
    assert Identity.of(recipe_of(ODD)).settings["shape.n_group"] == "4"
