"""The network that a run starts with, or the parts of it that this process holds."""

import dataclasses

import torch

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint.load import read_model
from openk2.checkpoint.stored import StoredCheckpoint, open_checkpoint
from openk2.config import RecipeError
from openk2.model import K2Model
from openk2.model.initial import draw
from openk2.model.linear import Linear
from openk2.parallel import Fleet
from openk2.parallel.stage import keep_parts, parts_of
from openk2.train.recipe import Recipe, Shape


def start_model(recipe: Recipe, tokenizer: Tokenizer, device: str, fleet: Fleet) -> K2Model:
    """A fresh network of the recipe's shape, or the checkpoint it starts from, in float32.

    Of a network in pipeline parts those of this rank alone are allocated. Raises RecipeError if
    that checkpoint was made for another tokenizer, the recipe's context does not fit it, or the
    layout does not fit the network.
    """
    if recipe.start is not None:
        return read_model(
            opened(recipe, tokenizer),
            dtype=torch.float32,
            device=device,
            keep=lambda model: held(model, fleet),
        )
    assert recipe.shape is not None
    with torch.device("meta"):
        model = held(K2Model(fresh_config(recipe.shape, tokenizer)), fleet)
    model.to_empty(device=device).initialize(recipe.seed)
    if recipe.head_from_embedding and isinstance(model.lm_head, Linear):
        start_head(model, recipe.seed, recipe.head_from_embedding)
    return model


def held(model: K2Model, fleet: Fleet) -> K2Model:
    """What of `model`, on meta, the fleet's layout gives to this rank."""
    config, layout = model.config, fleet.layout
    try:
        layout.check_network(config.num_hidden_layers, config.n_routed_experts)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return keep_parts(model, parts_of(config, layout, fleet.pipeline_rank))


def opened(recipe: Recipe, tokenizer: Tokenizer) -> StoredCheckpoint:
    """The checkpoint that the recipe starts from, with the recipe's context."""
    assert recipe.start is not None
    if Tokenizer.load(recipe.start).tokens != tokenizer.tokens:
        raise RecipeError(
            f"{recipe.start} was trained with another tokenizer than {recipe.tokenizer}: "
            "name its own, and pack the data with it"
        )
    checkpoint = open_checkpoint(recipe.start)
    if recipe.context is None:
        return checkpoint
    try:
        config = recipe.context.extend(checkpoint.config)
    except ValueError as error:
        raise RecipeError(f"context: {error}") from error
    return dataclasses.replace(checkpoint, config=config)


def fresh_config(shape: Shape, tokenizer: Tokenizer) -> ModelConfig:
    """A network of this shape with the tokenizer's vocabulary."""
    return ModelConfig(
        **dataclasses.asdict(shape),
        vocab_size=tokenizer.vocab_size,
        bos_token_id=tokenizer.special("[BOS]"),
        eos_token_id=tokenizer.special("[EOS]"),
        pad_token_id=tokenizer.special("[PAD]"),
    )


@torch.no_grad()
def start_head(model: K2Model, seed: int, factor: float) -> None:
    """Make the head `factor` times the embedding, drawn again: it may be on another rank."""
    head = model.lm_head.weight
    draw(head, "model.embed_tokens.weight", seed, model.config.initializer_range)
    head.mul_(factor)
