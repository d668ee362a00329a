"""What one rank does for test_ranks.py.

Runs out/sharded.py, the tutorial's sharded trainer, then Muon over fused tensors that the ranks
hold together, and writes out/rank-R.json: what it found.
"""

import contextlib
import io
import json
import os
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import (
    DTensor,
    Partial,
    Placement,
    Replicate,
    Shard,
    distribute_tensor,
    init_device_mesh,
)

from openk2.optim import (
    Fused,
    FusedHeads,
    Muon,
    MuonClip,
    OrdinaryHeads,
    max_logits_on_trigger,
    ownership_table,
    qk_clip,
)
from openk2.optim.muon import update

# Of each but the stack two ranks hold a part together, or one of them none of a part.
TENSORS = {
    "experts.gate_up_proj": ((4, 12, 8), Fused(2)),
    "in_proj_weight": ((21, 8), Fused(3)),
    "qkv_proj.weight": ((25, 9), Fused((16, 5, 4))),
    "c_attn.weight": ((8, 18), Fused(3, dim=-1)),
    "turns": ((7, 12), Fused((2, 1), dim=-1, groups=4)),
    "query_key_value.weight": ((24, 10), Fused(3, groups=4)),
    "o_proj.weight": ((9, 9), Fused(1)),
}
SETTINGS = {"lr": 0.1, "nesterov": True, "ns_dtype": torch.float32}


def numbers(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, (shape, _) in TENSORS.items()}


def stepped(sharded: bool, **settings: Any) -> tuple[dict[str, Tensor], int]:
    """Weights after two steps, whole, and how many matrices this rank orthogonalised."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))

    def placed(tensor: Tensor) -> Tensor:
        return distribute_tensor(tensor, mesh, [Shard(0)]) if sharded else tensor

    parameters = {name: nn.Parameter(placed(tensor)) for name, tensor in numbers(0).items()}
    fused = {parameters[name]: fused for name, (_, fused) in TENSORS.items()}
    if "copies" in settings:
        settings["copies"] = dict.fromkeys(parameters.values(), settings["copies"])
    muon = Muon(parameters.values(), fused=fused, **SETTINGS, **settings)
    plain, done = update.orthogonalize, []

    def counted(matrices: Tensor, **more: Any) -> Tensor:
        done.append(matrices.shape[0])
        return plain(matrices, **more)

    with patch.object(update, "orthogonalize", counted):
        for seed in (1, 2):
            for name, gradient in numbers(seed).items():
                parameters[name].grad = placed(gradient)
            muon.step()
    return whole(parameters), sum(done)


def clipped() -> dict[str, float]:
    """How far QK-Clip of sharded queries, keys and values is from that of whole ones."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    plain = torch.randn(30, 40, generator=torch.Generator().manual_seed(0))
    sharded = distribute_tensor(plain.clone(), mesh, [Shard(0)])
    logits = torch.tensor([[9.0, 1.0, 5.0]])
    for fused, key_heads in ((Fused((12, 12, 6)), 3), (Fused((24, 8, 8), dim=-1), 1)):
        for tensor in (plain, sharded):
            qk_clip([FusedHeads(tensor, fused, 3, key_heads)], logits, tau=3.0)
    return furthest(whole({"weight": sharded}), {"weight": plain})


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach()
        for name, tensor in tensors.items()
    }


def furthest(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float((tensor - wanted[name]).abs().max()) for name, tensor in tensors.items()}


def refusal() -> str:
    """Of heads that take turns, when a rank's rows end within one."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    cut = nn.Parameter(distribute_tensor(torch.zeros(36, 10), mesh, [Shard(0)]))
    try:
        MuonClip({"query_key_value": cut}.items(), adamw=(), fused={"*": Fused(3, groups=3)})
    except ValueError as error:
        return str(error)
    return "nothing"


def stale_heads() -> str:
    """Of heads made before the network was sharded, whose weights the optimizer never sees."""
    network = nn.Linear(8, 8, bias=False)
    heads = OrdinaryHeads(network.weight, network.weight, 2, 2)
    fully_shard(network)
    optimizer = MuonClip(network.named_parameters(), adamw=())
    try:
        optimizer.clip([heads], torch.full((1, 2), 500.0))
    except ValueError as error:
        return str(error)
    return "nothing"


def table() -> str:
    """Whose the parts of a fused matrix are that all hold alike."""
    parameters = {"qkv_proj": nn.Parameter(torch.zeros(30, 10))}
    optimizer = MuonClip(parameters.items(), adamw=(), fused={"qkv*": 3}, copies=dist.group.WORLD)
    return ownership_table(optimizer.owners)


MIXED = {
    "w": (8, 6), "plain.w": (5, 4), "embed_tokens": (7, 3), "plain.lm_head": (7, 3), "bias": (3,),
    "plain.bias": (3,), "narrow.bias": (5,),
}  # fmt: skip


def mixed(sharded: bool) -> dict[str, Tensor]:
    """Weights after two steps of MuonClip over sharded parameters beside plain ones.

    The second step's gradients are sums that the ranks have yet to add up.
    """
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))

    def drawn(seed: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        types = {name: torch.bfloat16 if "narrow" in name else torch.float32 for name in MIXED}
        return {
            name: torch.randn(shape, generator=generator).to(types[name])
            for name, shape in MIXED.items()
        }

    def placed(name: str, tensor: Tensor, partial: bool = False) -> Tensor:
        if not sharded or "plain" in name:
            return tensor
        if partial:
            part = tensor * (0.75 if dist.get_rank() == 0 else 0.25)
            return DTensor.from_local(part, mesh, [Partial()])
        return distribute_tensor(tensor, mesh, [Shard(0)])

    parameters = {name: nn.Parameter(placed(name, t)) for name, t in drawn(0).items()}
    optimizer = MuonClip(parameters.items(), **SETTINGS)
    for step in (1, 2):
        for name, gradient in drawn(step).items():
            parameters[name].grad = placed(name, gradient, partial=step == 2)
        optimizer.step()
    return whole(parameters)


def norms(group: dist.ProcessGroup | None) -> dict[str, list[float]]:
    """The norm that is reported, and the norm after clipping to 1, by how gradients are placed."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))

    def placed(tensor: Tensor, placement: Placement) -> Tensor:
        if placement.is_partial():
            return DTensor.from_local(tensor / dist.get_world_size(), mesh, [placement])
        return distribute_tensor(tensor, mesh, [placement])

    ways = {
        "sharded": (Shard(0), Shard(0)),
        "sharded, unreduced": (Shard(0), Partial()),
        "replicated, unreduced": (Replicate(), Partial()),
    }
    found = {}
    for way, (own, of_gradient) in ways.items():
        weights = {"w": torch.zeros(5, 3), "bias": torch.zeros(4)}
        parameters = {name: nn.Parameter(placed(t, own)) for name, t in weights.items()}
        parameters["plain.w"] = nn.Parameter(torch.zeros(2, 3))
        for name, parameter in parameters.items():
            rows = torch.arange(float(parameter.numel())).view(parameter.shape)
            parameter.grad = rows if name == "plain.w" else placed(rows, of_gradient)
        optimizer = MuonClip(parameters.items(), adamw=())
        reported = optimizer.clip_gradients(1.0, group)
        after = whole({name: p.grad for name, p in parameters.items()}).values()
        found[way] = [float(reported), float(nn.utils.get_total_norm(after))]
    return found


def largest_on_trigger() -> list[list[float]]:
    """Of two layers, as this rank clips by them; rank 0 need not compute layer 1."""
    exact = torch.tensor([[[101.0, 99.0], [5.0, 6.0]], [[103.0, 98.0], [7.0, 120.0]]])
    own = exact[dist.get_rank()]
    layers = [lambda each=each: each for each in own]
    return max_logits_on_trigger(own + 0.25, 100.0, layers, group=dist.group.WORLD).tolist()


def do_all(_: int, out: Path) -> None:
    os.chdir(out)
    sys.path.insert(0, str(out))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        names = runpy.run_path("sharded.py")
    alone, matrices = stepped(sharded=False)
    sharded, by_rows = stepped(sharded=True)
    copied, alike = stepped(sharded=False, copies=dist.group.WORLD)
    before, after = (whole(names[name].state_tensors()) for name in ("optimizer", "resumed"))
    found = {
        "printed": printed.getvalue(),
        "clipped": bool(names["clipped"].any()),
        "clips": clipped(),
        "resumed": before.keys() == after.keys()
        and all(torch.equal(after[name], tensor) for name, tensor in before.items()),
        "sharded": furthest(sharded, alone),
        "copies": furthest(copied, alone),
        "matrices": matrices,
        "orthogonalised": {"sharded": by_rows, "copies": alike},
        "refusal": refusal(),
        "stale heads": stale_heads(),
        "table": table(),
        "largest": largest_on_trigger(),
        "norms": {"its own mesh": norms(None), "the world": norms(dist.group.WORLD)},
        "mixed": furthest(mixed(sharded=True), mixed(sharded=False)),
    }
    (out / f"rank-{dist.get_rank()}.json").write_text(json.dumps(found))
