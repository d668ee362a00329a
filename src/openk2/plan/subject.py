"""The network and the rows that a plan is for; data, tokenizer or checkpoint may not exist yet.

What is missing is assumed, and listed in words.
"""

from dataclasses import dataclass
from pathlib import Path

from openk2.architecture import ConfigError, ModelConfig
from openk2.chat import Tokenizer
from openk2.config import RecipeError
from openk2.data import open_rows
from openk2.train import NetworkShape, Recipe

# The published vocabulary.
VOCABULARY = ModelConfig().vocab_size


@dataclass(frozen=True)
class Subject:
    """config, and length, tokens a row. assumed: a line for everything that was not found."""

    config: ModelConfig
    length: int
    assumed: tuple[str, ...] = ()


def find_subject(
    recipe: Recipe,
    *,
    vocabulary: int | None = None,
    length: int | None = None,
    shape: NetworkShape | None = None,
) -> Subject:
    """What `recipe` would train.

    vocabulary: ids, in place of the tokenizer's. length: tokens a row, in place of the recipe's.
    shape: the network that `recipe.start` will hold, if it is not there.
    Raises RecipeError if the network cannot be known.
    """
    assumed: list[str] = []
    if recipe.shape is None and shape is None:
        config = started_config(recipe)
    else:
        wanted = recipe.shape or shape
        assert wanted is not None
        size = vocabulary or vocabulary_of(recipe.tokenizer, assumed)
        config = ModelConfig(**wanted.fields(), vocab_size=size)
        if recipe.context is not None:
            config = recipe.context.extend(config)
    return Subject(config, length or length_of(recipe, config, assumed), tuple(assumed))


def started_config(recipe: Recipe) -> ModelConfig:
    """The config of the checkpoint that the recipe starts from."""
    assert recipe.start is not None
    try:
        config = ModelConfig.read(recipe.start)
    except ConfigError as error:
        raise RecipeError(
            f"{error}; or name the recipe that makes this network: --shape-of RECIPE"
        ) from error
    return config if recipe.context is None else recipe.context.extend(config)


def vocabulary_of(folder: Path, assumed: list[str]) -> int:
    """Ids of the tokenizer in `folder`, or K2's number if there is none."""
    if folder.exists():
        return Tokenizer.load(folder).vocab_size
    assumed.append(f"vocabulary {VOCABULARY:,}, K2's: {folder} is not there (--vocabulary)")
    return VOCABULARY


def length_of(recipe: Recipe, config: ModelConfig, assumed: list[str]) -> int:
    """Tokens a row: the recipe's, else the data's, or the window if neither says."""
    if recipe.row_length is not None:
        return recipe.row_length
    path, window = recipe.data[0].path, config.max_position_embeddings
    if path.exists():
        return open_rows(path).length
    assumed.append(f"rows of {window:,} tokens, the window: {path} is not there (row_length)")
    return window
