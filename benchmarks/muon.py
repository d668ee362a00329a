"""A step of our Muon against torch.optim.Muon, on the hidden matrices of a K2-shaped network.

    python benchmarks/muon.py [--shape nano|small] [--layers N] [--repeats 5]

Gate, up and down of every expert are separate matrices on both sides: stacks for ours, slices for
torch's, which takes two dimensions only. Both: bf16 Newton-Schulz, five quintic steps, Nesterov,
decoupled decay, update scaled to AdamW's root mean square; the result of one step is compared.
--layers: how many layers of the shape (small's 16 do not fit twice into 24 GB; the ratio is one of
matrices). Both sides alternate in one process; medians.
"""

import argparse
import json
import statistics
import time
from dataclasses import replace

import torch
from shapes import SHAPES
from torch import Tensor

import openk2.optim.muon as ours
from openk2.model import K2Model
from openk2.optim import Muon, assign_owners
from openk2.record.machine import describe_machine

SETTINGS = {"lr": 2e-4, "momentum": 0.95, "weight_decay": 0.1, "nesterov": True}


def hidden_matrices(model: K2Model) -> list[Tensor]:
    named = dict(model.named_parameters())
    owners = assign_owners(named.items(), ("*embed_tokens*", "lm_head*"))
    return [named[owner.name] for owner in owners if owner.owner == "muon"]


def slices_of(parameters: list[Tensor]) -> list[Tensor]:
    """Copies of all matrices, two-dimensional, with gradients."""
    copies = []
    for parameter in parameters:
        matrices = parameter.detach() if parameter.ndim == 3 else parameter.detach()[None]
        gradients = parameter.grad if parameter.ndim == 3 else parameter.grad[None]
        for matrix, gradient in zip(matrices, gradients, strict=True):
            copy = torch.nn.Parameter(matrix.clone())
            copy.grad = gradient.clone()
            copies.append(copy)
    return copies


def seconds(call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = SHAPES[options.shape]
    config = replace(config, num_hidden_layers=options.layers or config.num_hidden_layers)
    parameters = hidden_matrices(K2Model(config).initialize(0))
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-2
    singles = slices_of(parameters)
    mine = Muon(parameters, **SETTINGS)
    theirs = torch.optim.Muon(singles, adjust_lr_fn="match_rms_adamw", **SETTINGS)
    mine.step()
    theirs.step()
    flat = [matrix for p in parameters for matrix in (p if p.ndim == 3 else p[None])]
    apart = max(float((a - b).detach().abs().max()) for a, b in zip(flat, singles, strict=True))

    inside: list[float] = []
    plain = ours.orthogonalize

    def timed(*args, **kwargs) -> Tensor:
        began = time.perf_counter()
        result = plain(*args, **kwargs)
        inside.append(time.perf_counter() - began)
        return result

    ours.orthogonalize = timed
    pairs = [(seconds(mine.step), seconds(theirs.step)) for _ in range(options.repeats)]
    my, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    result = {
        "matrices": len(singles),
        "parameters": sum(p.numel() for p in parameters),
        "openk2_ms": 1e3 * my,
        "torch_ms": 1e3 * other,
        "ratio": other / my,
        "newton_schulz_share": sum(inside) / sum(mine for mine, _ in pairs),
        "largest_difference_after_one_step": apart,
    }
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result}))
        return
    print(describe_machine(), options.shape, config.num_hidden_layers, "layers")
    for name, value in result.items():
        print(f"{name:>34} {value:,.6g}")


if __name__ == "__main__":
    main()
