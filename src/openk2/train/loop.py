"""The step loop: from a recipe to a checkpoint, for pre-training and for fine-tuning alike."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from openk2.checkpoint import export_tensors, licences_of, refuse_other_content
from openk2.optim import ownership_table
from openk2.parallel import Fleet
from openk2.record import MetricsLog, hold_folder
from openk2.train.copying_score import copying_score
from openk2.train.identity import Identity
from openk2.train.mixture import contents_of
from openk2.train.recipe import Recipe
from openk2.train.resume import RunState, StateError, list_states, load_state, save_state
from openk2.train.setup import Run, alone, set_up
from openk2.train.start import chat_files_of
from openk2.train.state_tensors import StateTensors
from openk2.train.step import StepReport, TrainingError, train_step

SLOW_PRODUCTS = (
    "slow: this processor multiplies bfloat16 element by element; with "
    'optimization.products (and memory.parameters) = "float32" a new run is many times as fast'
)


class Stopped(Exception):
    """A run was asked to stop and did, after the step that it names; its state is written."""


@dataclass(frozen=True)
class StepProgress:
    """One finished step, for progress lines."""

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
    tuning: bool = False,
    show: Callable[[StepProgress], None] = lambda _: None,
    announce: Callable[[str], None] = lambda _: None,
    fleet: Fleet | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Run `recipe` to its end, resuming the run in `out`; return the exported checkpoint.

    Writes out/state (resumable, newest two), out/metrics.jsonl and, at the end, out/checkpoint in
    the published layout (bf16), with the sampling, settings and licences of the recipe's start.

    tuning: on conversations, see `chat_files_of`.
    fleet: the processes that run this together, see `join`; None: this one alone.
    stop: asked after each step; where it is true in one process, all of them write the state and
        raise Stopped.

    Raises StateError if `out` holds a run of another recipe or a state cannot be written,
    CheckpointError if out/checkpoint holds other files than a checkpoint's, RecipeError or
    DataError if the recipe's parts do not match each other, FleetError if another process is gone,
    and BlockingIOError if another process runs in `out`.
    """
    files = chat_files_of(recipe, tuning)
    # Read now: the start may be gone when the run ends, hours later.
    licences = licences_of(recipe.start) if recipe.start is not None else {}
    run = set_up(recipe, device, fleet or alone(recipe))
    fleet = run.fleet
    with fleet.together(), hold_folder(out) if fleet.leads else nullcontext():
        if fleet.leads:
            refuse_other_content(out / "checkpoint")  # as the export at the end would
        fleet.wait()
        state = resume(run, out)
        for line in headlines(run, state):
            announce(line)
        log = MetricsLog(out / "metrics.jsonl", state.step) if fleet.leads else None
        with log or nullcontext():
            while state.step < recipe.steps:
                state, progress = advance(run, state)
                score = scored(run, state.step)
                if log is not None:
                    log.write({**metrics(progress, state), **score})
                    show(progress)
                stopping = agreed(run, stop())
                due = state.step % recipe.checkpoint_every == 0 or state.step == recipe.steps
                if due or stopping:
                    save_state(out / "state", run.sharding, run.optimizer, state)
                if stopping:
                    raise Stopped(
                        f"stopped after step {state.step}: the same command goes on from there"
                    )
        if fleet.leads:
            newest = list_states(out / "state")[-1]
            export_tensors(
                StateTensors(run.config, newest),
                run.tokenizer,
                out / "checkpoint",
                files=files,
                licences=licences,
            )
        fleet.wait()
    return out / "checkpoint"


def headlines(run: Run, state: RunState) -> Iterator[str]:
    """What a run announces before its first step. Every rank must read it to the end."""
    ranks = run.fleet.gather(run.optimizer.owners)
    owners = {owner.name: owner for held in reversed(ranks) for owner in held}
    yield ownership_table(owners.values())
    yield f"step {state.step} of {run.recipe.steps}, {len(run.recipe.data)} data parts"
    if run.autocast == torch.bfloat16 and not multiplies_bfloat16(run.device):
        yield SLOW_PRODUCTS


def multiplies_bfloat16(device: str) -> bool:
    """Whether torch has fast products of bfloat16 there; without them they are element by element.

    On AVX2 they ran at 0.8 GFLOP/s, those of float32 at 60 (benchmarks/training.md).
    """
    return torch.device(device).type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def advance(run: Run, state: RunState) -> tuple[RunState, StepProgress]:
    """Take one step and time it. Raises TrainingError, which names the step, if it is refused."""
    recipe = run.recipe
    began = time.perf_counter()
    lr = recipe.schedule(state.step)
    run.optimizer.set_lr(lr)
    numbers = range(state.step * recipe.rows, (state.step + 1) * recipe.rows)
    batch = run.mixture.batch_of(run.fleet.share(numbers)).to(run.device)
    try:
        report = train_step(
            run.network,
            run.optimizer,
            batch,
            run.passes,
            grad_clip=recipe.optimization.grad_clip,
            bias_speed=recipe.optimization.bias_speed,
            sequence_balance=recipe.optimization.sequence_balance,
            weights=recipe.loss,
            sharding=run.sharding,
        )
    except TrainingError as error:
        raise TrainingError(f"step {state.step}: {error}") from error
    tokens = recipe.rows * run.mixture.length
    rate = tokens / (time.perf_counter() - began)
    done = dataclasses.replace(state, step=state.step + 1, tokens=state.tokens + tokens)
    return done, StepProgress(done.step, recipe.steps, lr, rate, report)


def agreed(run: Run, stop: bool) -> bool:
    """Whether any process is asked to stop. Every rank must call it."""
    wish = torch.tensor(float(stop), device=run.device)
    run.fleet.maximum(wish)
    return bool(wish)


def metrics(progress: StepProgress, state: RunState) -> dict[str, Any]:
    """A step's row of metrics.jsonl; `state` is the run's after it."""
    return {
        "step": progress.step - 1,
        "lr": progress.lr,
        "tokens": state.tokens,
        "tokens_per_second": round(progress.tokens_per_second, 1),
        **progress.report.metrics(),
    }


def scored(run: Run, step: int) -> dict[str, Any]:
    """The copying score after `step` steps for metrics.jsonl, empty if it is not due.

    It is due after the first step, each copying_score_every and the last. Every rank must call it.
    """
    recipe, ids = run.recipe, len(run.tokenizer.tokens)
    every = recipe.copying_score_every
    due = every and (step in (1, recipe.steps) or step % every == 0)
    if not due or recipe.layout.pipeline > 1:
        return {}
    return dataclasses.asdict(copying_score(run.network, ids, run.device, run.autocast))


def resume(run: Run, out: Path) -> RunState:
    """The newest state in `out` if there is one, else step 0."""
    recipe = run.recipe
    identity = Identity.of(recipe, contents_of(recipe, run.tokenizer, run.mixture, run.fleet))
    states = list_states(out / "state")
    if not states:
        return RunState.first(identity)
    state = load_state(states[-1], run.sharding, run.optimizer, identity)
    if state.step > recipe.steps:
        raise StateError(
            f"{states[-1]} is past the end of the recipe's schedule, {recipe.steps} steps: "
            "lengthen it or name another --out"
        )
    return state
