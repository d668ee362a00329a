"""What one rank does for test_two_processes.py; torchrun starts it.

Usage: ranks.py OUT. Takes the bare loop's 50 steps under DistributedDataParallel and under
`fully_shard`, with a scheduler, and writes OUT/rank-R.json: how far the weights are from the bare
loop's, and the gradients' norms.
"""

import copy
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoint
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(Path(__file__).parent))
import bare

from openk2.optim import MuonClip

# Of torch's `StateDictOptions`.
OPTIONS = [
    ("cpu_offload",),
    ("full_state_dict",),
    ("full_state_dict", "broadcast_from_rank0"),
    ("full_state_dict", "cpu_offload", "broadcast_from_rank0"),
    ("flatten_optimizer_state_dict",),
]


def own_rows(tokens: Tensor) -> Tensor:
    return tokens.chunk(dist.get_world_size())[dist.get_rank()]


def whole(model: nn.Module) -> bare.Weights:
    return {
        name.removeprefix("module."): t.full_tensor() if isinstance(t, DTensor) else t
        for name, t in bare.weights(model).items()
    }


def steps(
    model: nn.Module, network: bare.Network, optimizer: MuonClip, first: int, end: int
) -> list[float]:
    """Norms of the gradients before they are clipped."""
    schedule = bare.scheduled(optimizer)
    norms = []
    for step in range(end):
        if step >= first:
            optimizer.zero_grad()
            bare.loss_of(model, own_rows(bare.tokens_of(step))).backward()
            norms.append(float(optimizer.clip_gradients(1.0, group=dist.group.WORLD)))
            optimizer.step()
            optimizer.clip(bare.heads_of(network), bare.logits_of(step))
        schedule.step()
    return norms


def replicated(wanted: bare.Weights, **settings: Any) -> dict[str, Any]:
    network = bare.network()
    model = DistributedDataParallel(network)
    optimizer = bare.make(model, **settings)
    norms = steps(model, network, optimizer, 0, bare.STEPS)
    names = sorted(owner.name for owner in optimizer.owners)
    return {
        "distance": bare.furthest(whole(model), wanted),
        "norms": norms,
        "plain_names": names == sorted(bare.weights(network)),
    }


def sharded(wanted: bare.Weights, out: Path) -> dict[str, Any]:
    """By `fully_shard`; half-way the optimizer is saved and loaded into another."""
    network = bare.network()
    for layer in network.layers:
        fully_shard(layer)
    fully_shard(network)
    optimizer = bare.make(network)
    half = bare.STEPS // 2
    norms = steps(network, network, optimizer, 0, half)
    states = get_optimizer_state_dict(network, optimizer)
    checkpoint.save({"optimizer": states}, checkpoint_id=out / "state")
    optimizer.zero_grad()  # torch makes state to fill only where there is no gradient
    resumed = bare.make(network)
    state = {"optimizer": get_optimizer_state_dict(network, resumed)}
    checkpoint.load(state, checkpoint_id=out / "state")
    set_optimizer_state_dict(network, resumed, state["optimizer"])
    for group in resumed.param_groups:
        group.pop("initial_lr", None)
        group["lr"] = 1e-3
    norms += steps(network, network, resumed, half, bare.STEPS)
    optimizer.zero_grad()
    ways = [restored_with(network, resumed, *options) for options in OPTIONS]
    # The part of each rank by torch.save too.
    file = io.BytesIO()
    torch.save(resumed.state_dict(), file)
    file.seek(0)
    again = bare.make(network)
    again.load_state_dict(torch.load(file, weights_only=True))
    return {
        "distance": bare.furthest(whole(network), wanted),
        "norms": norms,
        "saved": alike(resumed, again),
        "restored": ways,
    }


def restored_with(network: nn.Module, optimizer: MuonClip, *options: str) -> bool:
    """Whether a state that is read and restored with these options of torch's is the same."""
    chosen = StateDictOptions(**dict.fromkeys(options, True))
    state = copy.deepcopy(get_optimizer_state_dict(network, optimizer, options=chosen))
    again = bare.make(network)
    bare.scheduled(again)  # torch restores a scheduler's `initial_lr` only where there is one
    set_optimizer_state_dict(network, again, state, options=chosen)
    return alike(optimizer, again)


def alike(optimizer: MuonClip, again: MuonClip) -> bool:
    mine, theirs = optimizer.state_tensors(), again.state_tensors()
    return mine.keys() == theirs.keys() and all(
        torch.equal(here(mine[n]), here(theirs[n])) for n in mine
    )


def here(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def main() -> None:
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    wanted = bare.bare_loop()
    dist.init_process_group("gloo")
    found = {
        "ddp": replicated(wanted),
        "ddp with copies": replicated(wanted, copies=dist.group.WORLD),
        "fsdp": sharded(wanted, out),
        "norms": norms_alone(),
    }
    (out / f"rank-{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


def norms_alone() -> list[float]:
    """Of one process with all rows, by torch."""
    model = bare.network()
    optimizer = bare.make(model)
    norms = []
    for step in range(bare.STEPS):
        optimizer.set_lr(1e-3 * bare.factor(step))
        optimizer.zero_grad()
        bare.loss_of(model, bare.tokens_of(step)).backward()
        norms.append(float(nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
        optimizer.clip(bare.heads_of(model), bare.logits_of(step))
    return norms


if __name__ == "__main__":
    main()
