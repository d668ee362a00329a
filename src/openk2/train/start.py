"""Build the initial network; each process allocates only its own shards.

It may begin with the weights of an earlier stage and another context (report 2.5).
"""

import dataclasses
from dataclasses import dataclass, replace

import torch

from openk2.architecture import ModelConfig
from openk2.chat import (
    CHAT_TEMPLATE,
    INSTRUCT_SAMPLING,
    THINK,
    ChatFiles,
    Tokenizer,
    named_tokenizer,
)
from openk2.checkpoint import StoredCheckpoint, open_checkpoint, read_rows
from openk2.config import RecipeError
from openk2.model import CopyingStart, K2Model, initialise
from openk2.parallel import Fleet, HeldRows, Sharding, keep_parts, parts_of, shard
from openk2.train.recipe import NetworkShape, Recipe

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@dataclass(frozen=True)
class Fresh:
    """A network of the recipe's shape with random weights.

    embedding_std: the embedding's; every other matrix has the config's initializer_range.
    head_from_embedding: if not 0, the head starts as the embedding times this.
    copying: heads that are written over the drawn numbers.
    """

    config: ModelConfig
    seed: int
    embedding_std: float
    head_from_embedding: float = 0.0
    copying: CopyingStart | None = None

    def fill(self, sharding: Sharding) -> None:
        """Fill every tensor that is held here."""
        buffers = {name for name, _ in sharding.model.named_buffers()}
        for held in sharding.held():
            if held.name in buffers:
                held.rows.zero_()
            elif held.name == HEAD and self.head_from_embedding:
                # Drawn again: the embedding may be on another rank.
                self.draw(replace(held, name=EMBEDDING))
                held.rows.mul_(self.head_from_embedding)
            else:
                self.draw(held)

    def draw(self, held: HeldRows) -> None:
        """Draw the rows that are here, and write what `copying` has to write into them."""
        deviation = self.embedding_std if held.name == EMBEDDING else self.config.initializer_range
        if self.copying is None or not self.copying.writes(held.name):
            initialise(held.name, held.rows, held.first, held.total, self.seed, deviation)
            return
        # A circuit is written into the whole tensor, of which this rank may hold some rows.
        whole = held.rows.new_empty(held.total, *held.rows.shape[1:])
        initialise(held.name, whole, 0, held.total, self.seed, deviation)
        self.copying.write(held.name, whole)
        held.rows.copy_(whole[held.first : held.first + len(held.rows)])


@dataclass(frozen=True)
class Stored:
    """A checkpoint's network."""

    checkpoint: StoredCheckpoint

    @property
    def config(self) -> ModelConfig:
        """The network's in memory, whose weights are not quantized."""
        return dataclasses.replace(self.checkpoint.config, quantization=None)

    def fill(self, sharding: Sharding) -> None:
        """Read every tensor that is held here. Raises CheckpointError."""
        read_rows(self.checkpoint, {held.name: (held.rows, held.first) for held in sharding.held()})


def origin_of(recipe: Recipe, tokenizer: Tokenizer) -> Fresh | Stored:
    """What the recipe starts from.

    Raises RecipeError if that checkpoint was made for another tokenizer or the recipe's context
    does not fit it, CheckpointError if it cannot be read.
    """
    if recipe.start is not None:
        return Stored(opened(recipe, tokenizer))
    assert recipe.shape is not None
    config = fresh_config(recipe.shape, tokenizer)
    return fresh(config, recipe)


def fresh(config: ModelConfig, recipe: Recipe) -> Fresh:
    """The recipe's fresh network. Raises RecipeError if it has no room for `copying_start`."""
    if config.tie_word_embeddings and recipe.head_from_embedding:
        raise RecipeError(
            f"head_from_embedding is {recipe.head_from_embedding} beside tie_word_embeddings, "
            "where the head is the embedding: leave one of them out"
        )
    deviation = recipe.embedding_std or config.initializer_range
    copying = None
    if recipe.copying_start is not None:
        try:
            copying = CopyingStart(config, recipe.copying_start, deviation)
        except ValueError as error:
            raise RecipeError(f"copying_start: {error}") from error
    return Fresh(config, recipe.seed, deviation, recipe.head_from_embedding, copying)


def start_network(origin: Fresh | Stored, recipe: Recipe, device: str, fleet: Fleet) -> Sharding:
    """The origin's network in float32, sharded as the recipe says.

    It is cut on meta: a rank allocates what it will hold, and one more tensor while it fills it.
    Raises RecipeError if the layout does not fit the network or the device has too little memory.
    """
    with torch.device("meta"):
        model = of_this_rank(K2Model(origin.config), fleet)
    memory = recipe.memory
    kept, sums = getattr(torch, memory.parameters), getattr(torch, memory.gradients)
    sharding = shard(model, fleet, kept, sums)
    try:
        model.to_empty(device=device)
    except RuntimeError as error:  # what torch raises when the allocator is refused memory
        size = sum(4 * held.rows.numel() for held in sharding.held())
        raise RecipeError(
            f"a rank's part of the network takes {size:,} bytes, which {device} refuses: use more "
            "ranks or a smaller network"
        ) from error
    model.tie()  # `to_empty` has made two tensors of a tied one
    with torch.no_grad():
        origin.fill(sharding)
    return sharding


def of_this_rank(model: K2Model, fleet: Fleet) -> K2Model:
    """The part of `model`, on meta, that the fleet's layout assigns to this rank."""
    config, layout = model.config, fleet.layout
    try:
        layout.check_network(
            config.num_hidden_layers, config.n_routed_experts, config.tie_word_embeddings
        )
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


def chat_files_of(recipe: Recipe, tuning: bool) -> ChatFiles:
    """How the trained network is prompted and sampled: as what it starts from.

    With a longer window it has no `max_length`, which counts the start's window.
    tuning: on conversations. Their rows have K2-Instruct's prompts, so its template takes the place
    of another one, such as a base model's, and its sampling is used where the start names none.
    Raises RecipeError for a start that thinks, of which such rows would make another model;
    TokenizerError for damaged files.
    """
    if recipe.start is None:
        return ChatFiles()
    files = ChatFiles.read(recipe.start, named_tokenizer(recipe.start))
    if recipe.context is not None:
        kept = {key: value for key, value in files.generation.items() if key != "max_length"}
        files = replace(files, generation=kept)
    if not tuning:
        return files
    if files.template is None or THINK in files.template:
        raise RecipeError(
            f"{recipe.start} writes thoughts, and rows of conversations have K2-Instruct's prompts "
            "with no thoughts: start from an Instruct or a base model"
        )
    sampling = {**INSTRUCT_SAMPLING, **files.generation}
    return replace(files, template=CHAT_TEMPLATE, generation=sampling)


def fresh_config(shape: NetworkShape, tokenizer: Tokenizer) -> ModelConfig:
    """A network of this shape with the tokenizer's vocabulary."""
    return ModelConfig(
        **shape.fields(),
        vocab_size=tokenizer.vocab_size,
        bos_token_id=tokenizer.special("[BOS]"),
        eos_token_id=tokenizer.special("[EOS]"),
        pad_token_id=tokenizer.special("[PAD]"),
    )
