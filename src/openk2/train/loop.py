"""The step loop: for pre-training and for fine-tuning alike, from a recipe to a checkpoint."""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import export_model, load_model
from openk2.config import RecipeError
from openk2.data import DataError
from openk2.data.mixture import Batch, Mixture
from openk2.data.packing import PackedRows
from openk2.model import K2Model
from openk2.optim import MuonClip
from openk2.parallel import ALONE, Replicas
from openk2.record.lock import hold_folder
from openk2.record.metrics import MetricsLog
from openk2.train.recipe import Optimization, Recipe
from openk2.train.resume import RunState, StateError, list_states, load_state, save_state
from openk2.train.step import StepReport, train_step


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
    replicas: Replicas = ALONE,
) -> Path:
    """Run `recipe` to its end, resuming what stands in `out`; return the exported checkpoint.

    Writes out/state (resumable, newest two), out/metrics.jsonl and, at the end, out/checkpoint in
    the published layout (bf16). replicas: the processes that run this together; the first of them
    writes and shows. Raises StateError if `out` holds a run of another recipe or a state
    cannot be written, RecipeError or DataError if the recipe's parts do not fit each other, and
    BlockingIOError if another process runs in `out`.
    """
    tokenizer = Tokenizer.load(recipe.tokenizer)
    mixture = open_mixture(recipe, tokenizer)
    check_split(recipe, replicas)
    model = start_model(recipe, tokenizer, device)
    check_fit(model.config, tokenizer, mixture)
    optimizer = make_optimizer(recipe.optimization, model)
    with hold_folder(out) if replicas.leads else nullcontext():
        replicas.wait()
        state = resume(recipe, out, model, optimizer)
        replicas.wait()  # the first saves only after all have read
        announce(ownership_table(optimizer))
        announce(f"step {state.step} of {recipe.steps}, {len(recipe.data)} data parts")
        log = MetricsLog(out / "metrics.jsonl", state.step) if replicas.leads else None
        with log or nullcontext():
            while state.step < recipe.steps:
                state, progress = advance(
                    recipe, state, model, optimizer, mixture, device, replicas
                )
                if log is not None:
                    log.write(metrics(progress, state))
                    show(progress)
                    if state.step % recipe.checkpoint_every == 0 or state.step == recipe.steps:
                        save_state(out / "state", model, optimizer, state)
        if replicas.leads:
            export_model(model, tokenizer, out / "checkpoint")
    replicas.wait()
    return out / "checkpoint"


def advance(
    recipe: Recipe,
    state: RunState,
    model: K2Model,
    optimizer: MuonClip,
    mixture: Mixture,
    device: str,
    replicas: Replicas,
) -> tuple[RunState, Progress]:
    """One step, measured."""
    began = time.perf_counter()
    lr = recipe.schedule(state.step)
    optimizer.set_lr(lr)
    batch = mixture.batch(state.step, recipe.rows)
    batch = Batch(*(getattr(batch, f.name).to(device) for f in dataclasses.fields(batch)))
    report = train_step(
        model,
        optimizer,
        batch,
        micro_rows=recipe.micro_rows,
        grad_clip=recipe.optimization.grad_clip,
        bias_speed=recipe.optimization.bias_speed,
        autocast=torch.bfloat16,
        replicas=replicas,
    )
    rate = batch.tokens.numel() / (time.perf_counter() - began)
    done = dataclasses.replace(
        state, step=state.step + 1, tokens=state.tokens + batch.tokens.numel()
    )
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


def open_mixture(recipe: Recipe, tokenizer: Tokenizer) -> Mixture:
    """The recipe's data parts, memory-mapped. Raises DataError if they are not of one kind."""
    parts = [PackedRows.load(part.path) for part in recipe.data]
    first, length = recipe.data[0].path, parts[0].tokens.shape[1]
    for part, rows in zip(recipe.data, parts, strict=True):
        if rows.tokens.shape[1] != length:
            raise DataError(
                f"{part.path} has rows of {rows.tokens.shape[1]} tokens, {first} of {length}: "
                "pack both in one length"
            )
        largest = int(rows.tokens.max())
        if largest >= tokenizer.vocab_size:
            raise DataError(
                f"{part.path} holds id {largest}, {recipe.tokenizer} has ids 0 to "
                f"{tokenizer.vocab_size - 1}: pack it with this tokenizer"
            )
    return Mixture(parts, [part.weight for part in recipe.data], recipe.seed)


def start_model(recipe: Recipe, tokenizer: Tokenizer, device: str) -> K2Model:
    """A fresh network of the recipe's shape, or the checkpoint it starts from, in float32.

    Raises RecipeError if that checkpoint was made for another tokenizer.
    """
    if recipe.start is not None:
        if Tokenizer.load(recipe.start).tokens != tokenizer.tokens:
            raise RecipeError(
                f"{recipe.start} was trained with another tokenizer than {recipe.tokenizer}: "
                "name its own, and pack the data with it"
            )
        return load_model(recipe.start, dtype=torch.float32, device=device)
    assert recipe.shape is not None
    config = ModelConfig(
        **dataclasses.asdict(recipe.shape),
        vocab_size=tokenizer.vocab_size,
        bos_token_id=tokenizer.special("[BOS]"),
        eos_token_id=tokenizer.special("[EOS]"),
        pad_token_id=tokenizer.special("[PAD]"),
    )
    model = K2Model(config).to(device).initialize(recipe.seed)
    if recipe.head_from_embedding:
        with torch.no_grad():
            model.lm_head.weight.copy_(model.model.embed_tokens.weight * recipe.head_from_embedding)
    return model


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


def check_split(recipe: Recipe, replicas: Replicas) -> None:
    """Raise RecipeError if the processes cannot share a step's forward passes evenly."""
    passes = recipe.rows // recipe.micro_rows
    if passes % replicas.count:
        raise RecipeError(
            f"rows {recipe.rows} in passes of micro_rows {recipe.micro_rows} are {passes} passes, "
            f"which {replicas.count} processes cannot share evenly: change one of the three"
        )


def make_optimizer(settings: Optimization, model: K2Model) -> MuonClip:
    """MuonClip over all of the model's parameters."""
    return MuonClip(
        model.named_parameters(),
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        nesterov=settings.nesterov,
        tau=settings.tau,
        adamw_matrix_rate=settings.embedding_rate,
        ns_dtype=torch.float32 if settings.full_precision_newton_schulz else torch.bfloat16,
    )


def resume(recipe: Recipe, out: Path, model: K2Model, optimizer: MuonClip) -> RunState:
    """The newest state in `out` if there is one, else step 0."""
    identity = recipe_digest(recipe)
    states = list_states(out / "state")
    if not states:
        return RunState(step=0, tokens=0, recipe=identity)
    state = load_state(states[-1], model, optimizer, identity)
    if state.step > recipe.steps:
        raise StateError(
            f"{states[-1]} is past the end of the recipe's schedule, {recipe.steps} steps: "
            "lengthen it or name another --out"
        )
    return state


def recipe_digest(recipe: Recipe) -> str:
    """What must not change between a run and its resumption: all but the length of the run."""
    fixed = dataclasses.asdict(recipe)
    for free in ("checkpoint_every", "micro_rows", "schedule"):
        fixed.pop(free)
    return hashlib.sha256(repr(fixed).encode()).hexdigest()


def ownership_table(optimizer: MuonClip) -> str:
    """One line a tensor: who owns it and why."""
    lines = [
        f"{o.owner:6} {'x'.join(map(str, o.shape)):>14}  {o.name}  ({o.reason})"
        for o in optimizer.owners
    ]
    return "\n".join(["owner           shape  tensor", *lines])
