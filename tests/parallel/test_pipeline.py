"""A pipeline computes what one process computes.

All processes are started once, for all layouts (`fleets.py`): each test reads what became of its
own.
"""

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from fleets import run_in_fleets
from openk2.data.mixture import Batch
from openk2.model import K2Model, Observation
from openk2.model.activations import Keeping
from openk2.optim import MuonClip
from openk2.parallel import ALONE, Fleet, Layout, Sharding, shard
from openk2.parallel.pipeline import Pipeline
from openk2.parallel.stage import keep_parts, parts_of
from openk2.train.loss import StepLoss
from openk2.train.loss_weights import LossWeights
from openk2.train.passes import MicroBatches, Passes, Pipelined
from openk2.train.step import train_step
from tiny import TINY

FIVE_LAYERS = replace(TINY, num_hidden_layers=5)
WHOLE = Keeping()
RECOMPUTE = Keeping(frozenset({"norms", "swiglu", "mla_up", "moe_down"}))
MEETING = 180.0
STEPS = 5
PLAIN, WEIGHTED = LossWeights(), LossWeights(0.5, 2.0, 0.0, 4.0)


@dataclass(frozen=True)
class Case:
    """A layout over `world` processes, and the rows of a step, in micro-batches of one row.

    steps: of MuonClip, beside a step's gradients.
    """

    name: str
    world: int
    layout: Layout
    rows: int = 4
    keeping: Keeping = WHOLE
    steps: int = 0
    weights: LossWeights = PLAIN


def layout(virtual: int = 1, **more: Any) -> Layout:
    return Layout(pipeline=2, virtual=virtual, patience=MEETING, **more)


# Those of more processes first: the others end when theirs are done.
CASES = [
    Case("four ranks", 4, Layout(pipeline=4, patience=MEETING)),
    Case("zero bubble beside expert parallel", 4, layout(2, expert=2, zero_bubble=True), rows=8),
    Case("weights beside data parallel", 4, layout(2), rows=8, steps=STEPS, weights=WEIGHTED),
    Case("zero 1 beside expert parallel", 4, layout(2, zero=1, expert=2), rows=8, steps=STEPS),
    Case("zero 1, zero bubble", 4, layout(2, zero=1, zero_bubble=True), rows=8),
    Case("two ranks", 2, layout()),
    Case("two ranks, an odd number of micro-batches", 2, layout(), rows=3),
    Case("two parts a rank", 2, layout(2), steps=STEPS),
    Case("two parts a rank, one round", 2, layout(2), rows=2),
    Case("weights", 2, layout(2), weights=WEIGHTED),
    Case("zero bubble", 2, layout(zero_bubble=True)),
    Case("zero bubble, two parts a rank", 2, layout(2, zero_bubble=True)),
    Case("two parts a rank, recomputed", 2, layout(2), keeping=RECOMPUTE),
    Case("zero bubble, recomputed", 2, layout(zero_bubble=True), keeping=RECOMPUTE),
]
# Each of what these combine is in one of those.
MORE_CASES = [
    Case("beside data parallel", 4, layout(2), rows=8, steps=STEPS),
    Case("beside expert parallel", 4, layout(2, expert=2), rows=8),
    Case("zero 1", 4, layout(zero=1), rows=8),
    Case("zero 1, two parts a rank", 4, layout(2, zero=1), rows=8),
]


def batch_of(rows: int, seed: int = 0) -> Batch:
    """Rows of one or two documents and padding; in the first nothing is learned."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, 64, (rows, 12), generator=generator)
    targets = torch.randint(0, 64, (rows, 12), generator=generator)
    segments = torch.tensor([0] * 5 + [1] * 4 + [-1] * 3).expand(rows, 12).clone()
    segments[1::2] = 0
    targets[:, ::3], targets[0], targets[segments < 0] = -100, -100, -100
    roles = torch.randint(1, 5, (rows, 12), generator=generator).byte()
    return Batch(tokens, segments, targets, roles * (targets >= 0))


def own_rows(batch: Batch, fleet: Fleet) -> Batch:
    rows = list(fleet.share(range(len(batch.tokens))))
    return Batch(*(column[rows] for column in batch.columns))


def loss_over(batch: Batch, weights: LossWeights) -> StepLoss:
    total = sum(weights.by_role[role] for role in batch.roles.flatten().tolist())
    return StepLoss(total, weights)


def optimizer_of(model: K2Model, **more: Any) -> MuonClip:
    names = {name for name, _ in model.named_parameters()}
    adamw = names & {"model.embed_tokens.weight", "lm_head.weight"}
    return MuonClip(
        model.named_parameters(),
        adamw=sorted(adamw),
        lr=1e-2,
        tau=0.5,
        ns_dtype=torch.float32,
        **more,
    )


def one_process(rows: int, weights: LossWeights) -> dict[str, Tensor]:
    """Gradients, loss and observation of the whole network, and the losses of a run of steps."""
    model = K2Model(FIVE_LAYERS).initialize(0)
    passes, batch = MicroBatches(model, 1), batch_of(rows)
    observation = Observation(FIVE_LAYERS, balance=0.01)
    loss = loss_over(batch, weights)
    total = passes.gradients(batch, loss, observation)
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    found |= seen(total, loss, observation)
    model.zero_grad()
    if any(same(case, rows, weights) and case.steps for case in [*CASES, *MORE_CASES]):
        found["losses"] = run(model, optimizer_of(model), passes, rows, STEPS, weights)
    return found


def same(case: Case, rows: int, weights: LossWeights) -> bool:
    return (case.rows, case.weights) == (rows, weights)


def seen(total: Tensor, loss: StepLoss, observation: Observation) -> dict[str, Tensor]:
    names = "max_logits", "expert_load", "balance_loss"
    found = {name: getattr(observation, name) for name in names}
    return {"loss": total, "nll_by_role": loss.nll_by_role, **found}


def run(
    model: K2Model,
    optimizer: MuonClip,
    passes: Passes,
    rows: int,
    steps: int,
    weights: LossWeights,
    sharding: Sharding | None = None,
) -> Tensor:
    """Losses of some steps, of which most clip heads."""
    rules = {"grad_clip": 1.0, "bias_speed": 0.01, "sequence_balance": 0.01, "sharding": sharding}
    rules["weights"] = weights
    fleet = sharding.fleet if sharding else ALONE
    batches = [own_rows(batch_of(rows, seed), fleet) for seed in range(steps)]
    reports = [train_step(model, optimizer, batch, passes, **rules) for batch in batches]
    assert sum(report.clipped_heads > 0 for report in reports) > steps // 2
    return torch.tensor([report.loss for report in reports])


def held(fleet: Fleet) -> K2Model:
    with torch.device("meta"):
        model = keep_parts(
            K2Model(FIVE_LAYERS), parts_of(FIVE_LAYERS, fleet.layout, fleet.pipeline_rank)
        )
    return model.to_empty(device="cpu").initialize(0)


def in_a_fleet(fleet: Fleet, case: Case) -> dict[str, Tensor]:
    """The same as `one_process`, of what this rank holds, summed over ranks where it must be."""
    model = held(fleet)
    for layer in model.decoder_layers:
        layer.keep(case.keeping)
    sharding = shard(model, fleet)
    passes = Pipelined(Pipeline(model, fleet, micro_rows=1))
    batch = batch_of(case.rows)
    mine = own_rows(batch, fleet)
    for _ in range(2):  # the second time over buffers that have been used
        model.zero_grad()
        observation = Observation(FIVE_LAYERS, balance=0.01)
        loss = loss_over(batch, case.weights)
        found = seen(passes.gradients(mine, loss, observation), loss, observation)
    sharding.add_gradients()
    for name, tensor in found.items():
        (fleet.maximum if name == "max_logits" else fleet.add)(tensor)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        gradient = sharding.whole(name, parameter.grad)
        found[name] = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient.clone()
    if case.steps:
        model.zero_grad()
        optimizer = optimizer_of(model, copies=sharding.copies())
        settings = case.rows, case.steps, case.weights, sharding
        found["losses"] = run(model, optimizer, passes, *settings)
    return found


def difference(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> str:
    """What differs by more than 1e-5 of its largest number; nothing, if all is well."""
    worst = {
        name: float((tensor - wanted[name]).abs().amax() / wanted[name].abs().amax())
        for name, tensor in found.items()
    }
    return ", ".join(f"{name} by {by:.1e}" for name, by in worst.items() if not by <= 1e-5)


def reference(case: Case) -> str:
    """The file of what one process computes."""
    return f"{case.rows}-{'plain' if case.weights == PLAIN else 'weighted'}"


def check(case: Case, folder: Path) -> str:
    """Why this rank is not content; nothing, if it is."""
    fleet = Fleet.join("cpu", case.layout)
    found = in_a_fleet(fleet, case)
    names = set().union(*fleet.gather(set(found)))
    wanted = torch.load(folder / reference(case))
    missing = (wanted.keys() - {"losses"}) - names
    return f"nobody has {missing}" if missing else difference(found, wanted)


def say(number: int, cases: Sequence[Case], folder: Path) -> None:
    """What one rank has to say of a case, into a file."""
    try:
        said = check(cases[number], folder)
    except Exception:
        said = traceback.format_exc()
    (folder / f"said-{number}-{os.environ['RANK']}").write_text(said)


def complaints_of(cases: Sequence[Case], folder: Path) -> dict[str, list[str]]:
    """What each rank of each case had to say."""
    for case in cases:
        if not (folder / reference(case)).exists():
            torch.save(one_process(case.rows, case.weights), folder / reference(case))
    run_in_fleets([case.world for case in cases], say, cases, folder)
    return {
        case.name: [file.read_text() for file in folder.glob(f"said-{number}-*")]
        for number, case in enumerate(cases)
    }


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    return complaints_of(CASES, tmp_path_factory.mktemp("cases"))


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_pipeline_computes_what_one_process_computes(
    complaints: dict[str, list[str]], case: Case
) -> None:
    """Loss, every gradient, what is observed, and the losses of a run of MuonClip steps."""
    assert complaints[case.name] == [""] * case.world


@pytest.mark.slow
def test_more_combinations_compute_what_one_process_computes(tmp_path: Path) -> None:
    wanted = {case.name: [""] * case.world for case in MORE_CASES}
    assert complaints_of(MORE_CASES, tmp_path) == wanted
