"""What one rank does for test_layouts.py: all the jobs that it is given, where a job is
  a layout's name              the whole run in it, into out/name
  source>layout                the last state of out/source, read and written again in the layout
  fault:layout                 a run in which one rank fails or is to stop, and what becomes of it
Writes out/rank-R-of-N.json, what each job had to say.

Usage: ranks.py MATERIAL OUT LAYOUT: `openk2 pretrain`, whose last rank is killed.
"""

import dataclasses
import itertools
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist

from openk2.chat import Tokenizer
from openk2.config import read_recipe
from openk2.model import K2Model
from openk2.optim import local
from openk2.optim.muon import update
from openk2.parallel import Layout, Sharding, shard
from openk2.train import loop, setup, start
from openk2.train.identity import Identity
from openk2.train.recipe import Memory, Recipe
from openk2.train.resume import StateError, list_states, load_state, save_state
from openk2.train.step import TrainingError

LAYOUTS = {
    "replicas": Layout(),
    "zero-1": Layout(zero=1),
    "zero-3": Layout(zero=3),
    "expert": Layout(expert=2),
    "expert-zero-1": Layout(expert=2, zero=1),
    "expert-zero-3": Layout(expert=2, zero=3),
    "narrow": Layout(zero=1),
    "kept": Layout(expert=2, zero=3),
}
MEMORY = {
    "narrow": Memory(parameters="bfloat16"),
    "kept": Memory(recompute=("norms", "swiglu", "mla_up", "moe_down"), fp8_inputs=True),
}
STEP = 5  # in which faults happen; states are written after steps 2, 4, 6 and 8


def recipe_of(material: Path, layout: Layout = Layout(), memory: Memory = Memory()) -> Recipe:
    """The tiny run in full precision, every pass of one row; products in the parameters' dtype."""
    recipe = read_recipe(material / "pretrain.toml", Recipe)
    exact = dataclasses.replace(
        recipe.optimization,
        products=memory.parameters,
        full_precision_newton_schulz=True,
    )
    return dataclasses.replace(
        recipe, optimization=exact, micro_rows=1, layout=layout, memory=memory
    )


def train(
    material: Path, out: Path, layout: str, stop: Callable[[], bool] = lambda: False
) -> list[str]:
    """A run to its end; what it announced."""
    recipe = recipe_of(material, LAYOUTS[layout], MEMORY.get(layout, Memory()))
    said: list[str] = []
    loop.train(recipe, out, fleet=setup.join(recipe, "cpu"), announce=said.append, stop=stop)
    return said


def run(material: Path, out: Path, name: str) -> dict[str, Any]:
    """The whole run in one layout; how many matrices this rank orthogonalised in it, and whether
    it cut the network before any of it was allocated."""
    counts, cut = [], []
    plain = update.orthogonalize

    def counted(matrices: torch.Tensor, **settings: Any) -> torch.Tensor:
        counts.append(matrices.shape[0])
        return plain(matrices, **settings)

    def watched(model: K2Model, *rest: Any) -> Sharding:
        cut.append(all(parameter.is_meta for parameter in model.parameters()))
        return shard(model, *rest)

    with (
        patch.object(update, "orthogonalize", counted),
        patch.object(start, "shard", watched),
    ):
        said = train(material, out / name, name)
    return {"orthogonalised": sum(counts), "table": said[0], "cut on meta": cut == [True]}


def reshard(material: Path, out: Path, source: str, name: str) -> dict[str, Any]:
    """A state read in this layout, over other numbers, and written again."""
    recipe = recipe_of(material, LAYOUTS[name])
    recipe = dataclasses.replace(recipe, seed=recipe.seed + 1)
    fleet = setup.join(recipe, "cpu")
    origin = start.origin_of(recipe, Tokenizer.load(recipe.tokenizer))
    sharding = start.start_network(origin, recipe, "cpu", fleet)
    optimizer = setup.make_optimizer(recipe.optimization, sharding)
    path = list_states(out / source / "state")[-1]
    record = json.loads((path / "state.json").read_text())
    identity = Identity(record["recipe"], record["settings"], record["contents"])
    state = load_state(path, sharding, optimizer, identity)
    again = f"{source.strip('./').replace('/', '-')}-as-{name}"
    save_state(out / again / "state", sharding, optimizer, state)
    return {}


@contextmanager
def in_step(act: Callable[[Sharding], None]) -> Iterator[None]:
    """On the last rank, in step STEP, `act` once the gradients are there."""
    plain, calls = Sharding.add_gradients, []

    def add_gradients(self: Sharding) -> None:
        calls.append(None)
        if self.fleet.rank == self.fleet.count - 1 and len(calls) == STEP + 1:
            act(self)
        plain(self)

    with patch.object(Sharding, "add_gradients", add_gradients):
        yield


def poison(sharding: Sharding) -> None:
    """One number of one gradient becomes NaN."""
    parameter = next(p for p in sharding.model.parameters() if p.grad is not None)
    assert parameter.grad is not None
    local(parameter.grad).view(-1)[0] = torch.nan


def die(_: Sharding) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk(_: Sharding) -> None:
    """From now on this process cannot write a file of more than 20 kB."""
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    )


def tear(folder: Path) -> None:
    """Cut the end off one file of the newest state."""
    newest = list_states(folder)[-1]
    file = sorted(newest.glob("*.safetensors"))[-1]
    file.write_bytes(file.read_bytes()[:-100])


def fault(material: Path, out: Path, kind: str, layout: str) -> dict[str, Any]:
    """What a run says of a fault, the states it leaves, and then the run to its end."""
    folder = out / f"{kind}-{layout}"
    acts = {"nan": poison, "disk": fill_disk, "torn": poison, "stop": lambda _: None}
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    last = dist.get_rank() == dist.get_world_size() - 1
    answers = itertools.chain([False] * STEP, itertools.repeat(kind == "stop" and last))
    with in_step(acts[kind]):
        said = complaint(lambda: train(material, folder, layout, lambda: next(answers)))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    if kind == "torn":
        if dist.get_rank() == 0:
            tear(folder / "state")
        dist.barrier()
        said = complaint(lambda: train(material, folder, layout))
        dist.barrier()
        if dist.get_rank() == 0:
            newest = list_states(folder / "state")[-1]
            newest.rename(out / f"removed-{newest.name}")
        dist.barrier()
    states = [path.name for path in sorted((folder / "state").iterdir())]
    dist.barrier()
    train(material, folder, layout)
    return {"said": said, "states": states}


def complaint(act: Callable[[], object]) -> str:
    try:
        act()
    except (StateError, TrainingError, loop.Stopped) as error:
        return str(error)
    return "nothing"


def do(job: str, material: Path, out: Path) -> dict[str, Any]:
    if ">" in job:
        return reshard(material, out, *job.split(">"))
    if ":" in job:
        return fault(material, out, *job.split(":"))
    return run(material, out, job)


def do_all(_: int, material: Path, out: Path, jobs: Sequence[str]) -> None:
    results = {}
    for job in jobs:
        try:
            results[job] = do(job, material, out)
        except Exception:
            results[job] = {"error": traceback.format_exc()}
    place = f"rank-{dist.get_rank()}-of-{dist.get_world_size()}.json"
    (out / place).write_text(json.dumps(results))


def main() -> None:
    torch.set_num_threads(1)
    with in_step(die):
        loop_command(0, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])


def loop_command(_: int, material: Path, out: Path, layout: str) -> None:
    """`openk2 pretrain` as a user starts it."""
    from openk2.cli.main import app

    text = (material / "pretrain.toml").read_text()
    exact = "full_precision_newton_schulz = true\n"
    text = text.replace("micro_rows = 2", "micro_rows = 1")
    text = text.replace("[optimization]\n", f"[optimization]\n{exact}")
    settings = dataclasses.asdict(LAYOUTS[layout])
    text += "\n[layout]\n" + "".join(
        f"{name} = {str(value).lower()}\n" for name, value in settings.items()
    )
    recipe = out.parent / f"{out.name}-{os.environ['RANK']}.toml"
    recipe.write_text(text)
    app(["pretrain", str(recipe), "--out", str(out), "--threads", "1"])


if __name__ == "__main__":
    main()
