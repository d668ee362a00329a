"""The step loop: for pre-training and for fine-tuning alike, from a recipe to a checkpoint."""

import dataclasses
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import export_tensors
from openk2.config import RecipeError
from openk2.data import DataError, Mixture, open_rows
from openk2.model import K2Model
from openk2.optim import MuonClip, ownership_table
from openk2.parallel import Fleet, Pipeline, Sharding, check_micro_batches
from openk2.record import MetricsLog, hold_folder
from openk2.train.copying_score import copying_score
from openk2.train.identity import Identity
from openk2.train.memory import keep_activations, passes_in
from openk2.train.passes import MicroBatches, Passes, Pipelined
from openk2.train.recipe import Memory, Optimization, Recipe
from openk2.train.resume import RunState, StateError, list_states, load_state, save_state
from openk2.train.start import origin_of, start_network
from openk2.train.state_tensors import StateTensors
from openk2.train.step import StepReport, TrainingError, train_step

NOT_HIDDEN = ("model.embed_tokens.weight", "lm_head.weight")
SLOW_PRODUCTS = (
    "slow: this processor multiplies bfloat16 element by element; with "
    'optimization.products (and memory.parameters) = "float32" a new run is many times as fast'
)


@dataclass(frozen=True)
class Progress:
    """One finished step, for whoever shows it."""

    step: int
    steps: int
    lr: float
    tokens_per_second: float
    report: StepReport


def train(
    recipe: Recipe,
    out: Path,
    *,
    device: str = "cpu",
    show: Callable[[Progress], None] = lambda _: None,
    announce: Callable[[str], None] = lambda _: None,
    fleet: Fleet | None = None,
) -> Path:
    """Run `recipe` to its end, resuming what stands in `out`; return the exported checkpoint.

    Writes out/state (resumable, newest two), out/metrics.jsonl and, at the end, out/checkpoint in
    the published layout (bf16). fleet: the processes that run this together, see `join`; None: this
    one alone. Raises StateError if `out` holds a run of another recipe or a state cannot be
    written, RecipeError or DataError if the recipe's parts do not fit each other, FleetError if
    another process is gone, and BlockingIOError if another process runs in `out`.
    """
    fleet = fleet or alone(recipe)
    tokenizer = Tokenizer.load(recipe.tokenizer)
    mixture = open_mixture(recipe, tokenizer)
    check_split(recipe, fleet)
    origin = origin_of(recipe, tokenizer)
    check_fit(origin.config, tokenizer, mixture)
    sharding = start_network(origin, recipe, device, fleet)
    keep_activations(recipe.memory, sharding.model, device)
    optimizer = make_optimizer(recipe.optimization, sharding)
    passes = make_passes(recipe, sharding)
    with fleet.together(), hold_folder(out) if fleet.leads else nullcontext():
        fleet.wait()
        state = resume(recipe, out, sharding, optimizer)
        ranks = fleet.gather(optimizer.owners)
        owners = {owner.name: owner for held in reversed(ranks) for owner in held}
        announce(ownership_table(owners.values()))
        announce(f"step {state.step} of {recipe.steps}, {len(recipe.data)} data parts")
        if recipe.optimization.products == "bfloat16" and not multiplies_bfloat16(device):
            announce(SLOW_PRODUCTS)
        log = MetricsLog(out / "metrics.jsonl", state.step) if fleet.leads else None
        with log or nullcontext():
            while state.step < recipe.steps:
                state, progress = advance(
                    recipe, state, sharding, optimizer, passes, mixture, device
                )
                score = scored(recipe, state.step, sharding, len(tokenizer.tokens), device)
                if log is not None:
                    log.write({**metrics(progress, state), **score})
                    show(progress)
                if state.step % recipe.checkpoint_every == 0 or state.step == recipe.steps:
                    save_state(out / "state", sharding, optimizer, state)
        if fleet.leads:
            newest = list_states(out / "state")[-1]
            export_tensors(StateTensors(origin.config, newest), tokenizer, out / "checkpoint")
        fleet.wait()
    return out / "checkpoint"


def multiplies_bfloat16(device: str) -> bool:
    """Whether torch has fast products of bfloat16 there; without them they are element by element.

    On AVX2 they ran at 0.8 GFLOP/s, those of float32 at 60 (benchmarks/training.md).
    """
    return torch.device(device).type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


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


def advance(
    recipe: Recipe,
    state: RunState,
    sharding: Sharding,
    optimizer: MuonClip,
    passes: Passes,
    mixture: Mixture,
    device: str,
) -> tuple[RunState, Progress]:
    """One step, measured. Raises TrainingError, which names the step, if it must not be taken."""
    began = time.perf_counter()
    lr = recipe.schedule(state.step)
    optimizer.set_lr(lr)
    numbers = range(state.step * recipe.rows, (state.step + 1) * recipe.rows)
    batch = mixture.batch_of(sharding.fleet.share(numbers)).to(device)
    try:
        report = train_step(
            sharding.model,
            optimizer,
            batch,
            passes,
            grad_clip=recipe.optimization.grad_clip,
            bias_speed=recipe.optimization.bias_speed,
            sequence_balance=recipe.optimization.sequence_balance,
            weights=recipe.loss,
            sharding=sharding,
        )
    except TrainingError as error:
        raise TrainingError(f"step {state.step}: {error}") from error
    tokens = recipe.rows * mixture.length
    rate = tokens / (time.perf_counter() - began)
    done = dataclasses.replace(state, step=state.step + 1, tokens=state.tokens + tokens)
    return done, Progress(done.step, recipe.steps, lr, rate, report)


def metrics(progress: Progress, state: RunState) -> dict[str, Any]:
    """What metrics.jsonl keeps of a step; `state` is the run's after it."""
    return {
        "step": progress.step - 1,
        "lr": progress.lr,
        "tokens": state.tokens,
        "tokens_per_second": round(progress.tokens_per_second, 1),
        **dataclasses.asdict(progress.report),
    }


def scored(recipe: Recipe, step: int, sharding: Sharding, ids: int, device: str) -> dict[str, Any]:
    """The copying score after `step` steps for metrics.jsonl, empty if it is not due.

    It is due after the first step, each copying_score_every and the last. Every rank must call it.
    """
    every = recipe.copying_score_every
    due = every and (step in (1, recipe.steps) or step % every == 0)
    if not due or recipe.layout.pipeline > 1:
        return {}
    products = torch.bfloat16 if recipe.optimization.products == "bfloat16" else None
    return dataclasses.asdict(copying_score(sharding.model, ids, device, products))


def open_mixture(recipe: Recipe, tokenizer: Tokenizer) -> Mixture:
    """The recipe's data parts, memory-mapped.

    Raises DataError if they are not of one kind, RecipeError if one would be read too often.
    """
    parts = [open_rows(part.path) for part in recipe.data]
    digest = tokenizer.digest()
    first, length = recipe.data[0].path, parts[0].length
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


def make_optimizer(settings: Optimization, sharding: Sharding) -> MuonClip:
    """MuonClip over all parameters that this rank holds."""
    held = [name for name, _ in sharding.model.named_parameters()]
    return MuonClip(
        sharding.model.named_parameters(),
        adamw=[name for name in NOT_HIDDEN if name in held],
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
    memory = Memory() if sharding.zero else recipe.memory  # `fully_shard` has seen to it
    products = torch.bfloat16 if recipe.optimization.products == "bfloat16" else None

    def over(network: K2Model) -> Passes:
        if recipe.layout.pipeline == 1:
            return MicroBatches(network, recipe.micro_rows, products, sharding.passing)
        pipeline = Pipeline(
            network,
            sharding.fleet,
            micro_rows=recipe.micro_rows,
            hidden=getattr(torch, recipe.memory.parameters),
            autocast=products,
        )
        return Pipelined(pipeline)

    return passes_in(memory, sharding.model, over)


def resume(recipe: Recipe, out: Path, sharding: Sharding, optimizer: MuonClip) -> RunState:
    """The newest state in `out` if there is one, else step 0."""
    identity = Identity.of(recipe)
    states = list_states(out / "state")
    if not states:
        return RunState(step=0, tokens=0, recipe=identity.digest, settings=identity.settings)
    state = load_state(states[-1], sharding, optimizer, identity)
    if state.step > recipe.steps:
        raise StateError(
            f"{states[-1]} is past the end of the recipe's schedule, {recipe.steps} steps: "
            "lengthen it or name another --out"
        )
    return state
