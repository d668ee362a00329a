"""The rows that a recipe trains on, opened and checked against its tokenizer and its network."""

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.config import RecipeError
from openk2.data import DataError, Mixture, open_rows
from openk2.parallel import Fleet
from openk2.train.recipe import Recipe


def open_mixture(recipe: Recipe, tokenizer: Tokenizer) -> Mixture:
    """The recipe's data parts, memory-mapped.

    Raises DataError if they are not of one kind, RecipeError if one would be read too often or is
    not of the recipe's row_length.
    """
    parts = [open_rows(part.path) for part in recipe.data]
    digest = tokenizer.digest()
    first, length = recipe.data[0].path, parts[0].length
    if recipe.row_length not in (None, length):
        raise RecipeError(
            f"row_length is {recipe.row_length}, {first} has rows of {length} tokens: set "
            f"row_length = {length}, or pack with --length {recipe.row_length}"
        )
    for part, rows in zip(recipe.data, parts, strict=True):
        if rows.length != length:
            raise DataError(
                f"{part.path} has rows of {rows.length} tokens, {first} of {length}: "
                "pack both in one length"
            )
        if rows.tokenizer_sha256 not in (None, digest):
            raise DataError(
                f"{part.path} was packed with another tokenizer than {recipe.tokenizer}: its ids "
                "mean other texts; pack it with this one"
            )
        largest = rows.largest_id()
        if largest >= tokenizer.vocab_size:
            raise DataError(
                f"{part.path} holds id {largest}, {recipe.tokenizer} has ids 0 to "
                f"{tokenizer.vocab_size - 1}: pack it with this tokenizer"
            )
    mixture = Mixture(parts, [part.weight for part in recipe.data], recipe.seed)
    for part, epochs in zip(recipe.data, mixture.epochs(recipe.rows * recipe.steps), strict=True):
        if epochs > part.max_epochs:
            raise RecipeError(
                f"{part.path} would be read {epochs:.2f} times, its max_epochs is "
                f"{part.max_epochs:g}: give it more rows or a smaller weight, or shorten the run"
            )
    return mixture


def contents_of(
    recipe: Recipe, tokenizer: Tokenizer, mixture: Mixture, fleet: Fleet
) -> dict[str, str]:
    """What the tokenizer and each data part hold, by path: rows and digests, as text.

    Every rank must call it, since each reads some of the files.
    """
    parts = list(zip(recipe.data, mixture.parts, strict=True))[fleet.rank :: fleet.count]
    mine = {str(p.path): f"{len(rows)} rows, sha256 {rows.content_sha256()}" for p, rows in parts}
    contents = {str(recipe.tokenizer): f"sha256 {tokenizer.digest()}"}
    for some in fleet.gather(mine):
        contents |= some
    return contents


def check_fit(config: ModelConfig, tokenizer: Tokenizer, mixture: Mixture) -> None:
    """Raise RecipeError if the network's vocabulary or context is not what the run needs."""
    if tokenizer.vocab_size != config.vocab_size:
        raise RecipeError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the network to start from has "
            f"vocab_size {config.vocab_size}: name the network's own tokenizer"
        )
    if mixture.length > config.max_position_embeddings:
        raise RecipeError(
            f"the data's rows have {mixture.length} tokens, more than the network's "
            f"max_position_embeddings {config.max_position_embeddings}: pack shorter rows"
        )
