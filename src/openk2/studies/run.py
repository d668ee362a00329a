"""One run of a study: the project's own training step, from a fresh network to the last step.

A run is finished or it is not: `result.json` is written last, and what has none is begun anew.
The same setting, corpus, device and number of threads give the same numbers.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from openk2.architecture import count_parameters, training_flops
from openk2.chat import Tokenizer
from openk2.data import Batch, Mixture
from openk2.model import K2Model
from openk2.optim import MuonClip
from openk2.record import MetricsLog, describe_machine, write_file_atomically
from openk2.studies.corpus import Corpus
from openk2.studies.setting import Setting
from openk2.studies.size import Size
from openk2.train import (
    IGNORED,
    MicroBatches,
    StepLoss,
    StepReport,
    TrainingError,
    fresh_config,
    loss_of,
    micro_batches,
    train_step,
)


@dataclass(frozen=True)
class StudyPlace:
    """The folder of the runs, and the device and threads that compute them."""

    out: Path
    device: str = "cpu"
    threads: int = 1


def run(setting: Setting, size: Size, corpus: Corpus, place: StudyPlace) -> None:
    """Train from step 0 to the last and write metrics.jsonl, then result.json.

    A loss, gradient or logit that is not finite ends the run: it diverged, which is a result too.
    """
    folder = run_folder(setting, size, place)
    began, computed = time.perf_counter(), time.process_time()
    with threads(place.threads), MetricsLog(folder / "metrics.jsonl") as log:
        model = start_model(setting, size, corpus).to(place.device)
        diverged = learn(model, setting, size, corpus, place, log)
    parameters = count_parameters(model.config)
    result = {
        "setting": setting.to_json(),
        "identity": identity(setting, size, corpus, place),
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - computed, 1),
        "machine": describe_machine(),
        "parameters": parameters.total,
        "active": parameters.active_without_embedding,
        "flops_per_token": training_flops(model.config, size.length),
        "diverged": diverged,
    }
    write_file_atomically(folder / "result.json", json.dumps(result, indent=1))


def learn(
    model: K2Model, setting: Setting, size: Size, corpus: Corpus, place: StudyPlace, log: MetricsLog
) -> int | None:
    """All steps, each a line of `log`. Returns the step that could not be taken, None if all were.

    Raises TrainingError if not even the first could.
    """
    optimizer = make_optimizer(setting, size, model)
    schedule = size.schedule(setting.rate)
    mixture = Mixture([corpus.train()], [1.0], setting.seed)
    held_out = Mixture([corpus.held_out()], [1.0], 0).batch(0, size.held_out_rows).to(place.device)
    for step in range(size.steps):
        optimizer.set_lr(schedule(step))
        batch = mixture.batch(step, size.rows).to(place.device)
        try:
            report = step_once(model, optimizer, batch, size)
        except TrainingError:
            if step == 0:
                raise
            return step
        row = metrics(step, report, size)
        if (step + 1) % size.evaluate_every == 0 or step + 1 == size.steps:
            row["held_out"] = held_out_loss(model, held_out, size)
        log.write(row)
    return None


def step_once(model: K2Model, optimizer: MuonClip, batch: Batch, size: Size) -> StepReport:
    """The project's step, the whole network here."""
    autocast = torch.bfloat16 if size.precision == "bfloat16" else None
    return train_step(
        model,
        optimizer,
        batch,
        MicroBatches(model, size.micro_rows, autocast),
        grad_clip=size.grad_clip,
        bias_speed=size.bias_speed,
    )


def make_optimizer(setting: Setting, size: Size, model: K2Model) -> MuonClip:
    """The setting's optimizer over all of the model's parameters, with the size's weight decay.

    The baseline is the same optimizer without a matrix for Muon and without a cap.
    """
    adamw_alone = {"adamw": ("*",), "tau": torch.inf}
    return MuonClip(
        model.named_parameters(),
        weight_decay=size.weight_decay,
        momentum=size.momentum,
        nesterov=True,
        ns_dtype=getattr(torch, size.precision),
        **(adamw_alone if setting.optimizer == "adamw" else {"tau": setting.tau}),
    )


def start_model(setting: Setting, size: Size, corpus: Corpus) -> K2Model:
    """A fresh network in float32; equal for settings of one shape and seed."""
    config = fresh_config(setting.shape(size), Tokenizer.load(corpus.tokenizer))
    return K2Model(config).initialize(setting.seed)


@torch.no_grad()
def held_out_loss(model: K2Model, batch: Batch, size: Size) -> float:
    """Mean nats a token over the held-out rows, in the precision of training."""
    total, summed = 0.0, StepLoss(1.0, device=batch.tokens.device)
    autocast = size.precision == "bfloat16"
    for micro in micro_batches(batch, size.micro_rows):
        with torch.autocast(batch.tokens.device.type, dtype=torch.bfloat16, enabled=autocast):
            total += float(loss_of(model, micro, summed))
    return total / int((batch.targets != IGNORED).sum())


def metrics(step: int, report: StepReport, size: Size) -> dict[str, Any]:
    """What metrics.jsonl keeps of a step: `max_logits` and `clipped` are [layers][heads]."""
    return {
        "step": step,
        "tokens": (step + 1) * size.step_tokens,
        "loss": report.loss,
        "grad_norm": report.grad_norm,
        "load_violation": report.load_violation,
        "idle_experts": report.idle_experts,
        "max_logits": [[float(f"{x:.5g}") for x in row] for row in report.max_logits.tolist()],
        "clipped": report.clipped.int().tolist(),
    }


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use `count` torch threads until the block ends: their number decides the order of sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_folder(setting: Setting, size: Size, place: StudyPlace) -> Path:
    """The run's folder."""
    return place.out / size.name / setting.name


def identity(setting: Setting, size: Size, corpus: Corpus, place: StudyPlace) -> str:
    """Digest of everything that decides a run's numbers, except the machine and the code."""
    fixed = asdict(size)
    # What only says which runs there are, or is in the setting.
    for free in (
        "adamw_rates",
        "muon_rates",
        "rate",
        "taus",
        "experts",
        "heads",
        "seeds",
        "tokens",
    ):
        fixed.pop(free)
    known = (fixed, asdict(setting), corpus.digest, place.device, place.threads)
    return hashlib.sha256(repr(known).encode()).hexdigest()
