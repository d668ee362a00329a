"""Everything that a recipe's run consists of, made once: the `Run` that the step loop advances."""

from dataclasses import dataclass

import torch
import torch.distributed as dist

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer, named_tokenizer, require_tokenizers
from openk2.config import RecipeError
from openk2.data import Mixture
from openk2.model import K2Model
from openk2.optim import MuonClip
from openk2.parallel import Fleet, Pipeline, Sharding, check_micro_batches
from openk2.train.memory import keep_activations, passes_in
from openk2.train.mixture import check_fit, open_mixture
from openk2.train.passes import MicroBatches, Passes, Pipelined
from openk2.train.recipe import Memory, Optimization, Recipe
from openk2.train.start import origin_of, start_network


@dataclass(frozen=True)
class Run:
    """One process's part of a training run.

    config: of the whole network. sharding: what this process holds of it, and with whom. passes:
    how it computes gradients. mixture: the rows of every step. device: where all of it computes.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    config: ModelConfig
    mixture: Mixture
    sharding: Sharding
    optimizer: MuonClip
    passes: Passes
    device: str

    @property
    def network(self) -> K2Model:
        """The modules and parameters that are held here."""
        return self.sharding.model

    @property
    def fleet(self) -> Fleet:
        """The processes of the run."""
        return self.sharding.fleet

    @property
    def autocast(self) -> torch.dtype | None:
        """Dtype of matrix products; None: the parameters' own."""
        return products_of(self.recipe)


def set_up(recipe: Recipe, device: str, fleet: Fleet) -> Run:
    """Open the data, start the network and make its optimizer.

    Raises RecipeError, DataError, CheckpointError or TokenizerError for parts of the recipe that
    cannot be read or do not match each other.
    """
    require_tokenizers()  # the export at the end needs it: say so before the first step
    tokenizer = named_tokenizer(recipe.tokenizer)
    mixture = open_mixture(recipe, tokenizer)
    check_split(recipe, fleet)
    origin = origin_of(recipe, tokenizer)
    check_fit(origin.config, tokenizer, mixture)
    sharding = start_network(origin, recipe, device, fleet)
    keep_activations(recipe.memory, sharding.model, device)
    return Run(
        recipe,
        tokenizer,
        origin.config,
        mixture,
        sharding,
        make_optimizer(recipe.optimization, sharding),
        make_passes(recipe, sharding),
        device,
    )


def alone(recipe: Recipe) -> Fleet:
    """This process by itself. Raises RecipeError if the recipe's layout needs more."""
    try:
        return Fleet(recipe.layout)
    except ValueError as error:
        raise RecipeError(f"{error}; torchrun starts several") from error


def join(recipe: Recipe, device: str) -> Fleet:
    """The processes that torchrun started, in the recipe's layout, or this one alone without it.

    Raises RecipeError if the layout does not fit their number.
    """
    if not dist.is_torchelastic_launched():
        return alone(recipe)
    try:
        return Fleet.join(device, recipe.layout)
    except ValueError as error:
        raise RecipeError(str(error)) from error


def check_split(recipe: Recipe, fleet: Fleet) -> None:
    """Raise RecipeError if the data ranks cannot share a step's forward passes evenly."""
    passes = recipe.rows // recipe.micro_rows
    if passes % fleet.data:
        raise RecipeError(
            f"rows {recipe.rows} in passes of micro_rows {recipe.micro_rows} are {passes} passes, "
            f"which {fleet.data} data ranks cannot share evenly: change one of the three"
        )
    try:
        check_micro_batches(recipe.layout, passes // fleet.data)
    except ValueError as error:
        raise RecipeError(str(error)) from error


def products_of(recipe: Recipe) -> torch.dtype | None:
    """The dtype of the recipe's matrix products; None computes in the parameters' own."""
    return torch.bfloat16 if recipe.optimization.products == "bfloat16" else None


def make_optimizer(settings: Optimization, sharding: Sharding) -> MuonClip:
    """MuonClip over all parameters that this rank holds."""
    return MuonClip(
        # With both names of a tied head: the patterns of AdamW's tables then all match.
        sharding.model.named_parameters(remove_duplicate=False),
        partial=sharding.fleet.layout.pipeline > 1,
        copies=sharding.copies(),
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        tau=settings.tau,
        adamw_matrix_rate=settings.embedding_rate,
        ns_dtype=torch.float32 if settings.full_precision_newton_schulz else torch.bfloat16,
    )


def make_passes(recipe: Recipe, sharding: Sharding) -> Passes:
    """How the recipe's steps compute their gradients."""
    memory = Memory() if sharding.zero else recipe.memory  # `fully_shard` casts them itself

    def over(network: K2Model) -> Passes:
        if recipe.layout.pipeline == 1:
            return MicroBatches(network, recipe.micro_rows, products_of(recipe), sharding.passing)
        pipeline = Pipeline(
            network,
            sharding.fleet,
            micro_rows=recipe.micro_rows,
            hidden=getattr(torch, recipe.memory.parameters),
            autocast=products_of(recipe),
        )
        return Pipelined(pipeline)

    return passes_in(memory, sharding.model, over)
