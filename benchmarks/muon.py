"""A step of our Muon against torch.optim.Muon, on the hidden matrices of a K2-shaped network.

    python benchmarks/muon.py [--shape nano|small] [--layers N] [--repeats 5] [--skip-bfloat16]
        [--processor-time]

Gate, up and down of every expert are separate matrices on both sides: stacks for ours, slices for
torch's, which takes two dimensions only. Both: five quintic steps, Nesterov, decoupled decay,
update scaled to AdamW's root mean square. Three sides take turns in one process; medians.

- ours, as `ns_dtype=torch.bfloat16` gives it on this machine.
- torch's as it is: it multiplies in bfloat16, whatever the processor makes of that.
- torch's with its iteration in float32 (`in_float32`, the same lines): what it would be on a
  processor without bfloat16 products.

Each side's iteration on one matrix of each shape is compared with the same one in float64.
--layers: how many layers of the shape (small's 16 do not fit three times into 24 GB; the ratio is
one of matrices). --skip-bfloat16: leave the second side out, where it would take an hour.
--processor-time: one thread, and the time that it had a processor: for a machine that others use.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.optim._muon as torchs
from shapes import SHAPES
from torch import Tensor

import openk2.optim.newton_schulz as ours
from openk2.kernels import native
from openk2.model import K2Model
from openk2.optim import QUINTIC, Muon, assign_owners, orthogonalize
from openk2.record.machine import describe_machine

Clock = Callable[[], float]
SETTINGS = {"lr": 2e-4, "momentum": 0.95, "weight_decay": 0.1, "nesterov": True}


def hidden_matrices(model: K2Model) -> list[Tensor]:
    named = dict(model.named_parameters())
    owners = assign_owners(named.items())
    return [named[owner.name] for owner in owners if owner.owner == "muon"]


def slices_of(parameters: list[Tensor]) -> list[Tensor]:
    """All matrices, two-dimensional, with gradients; gradients are views, weights copies."""
    copies = []
    for parameter in parameters:
        matrices = parameter.detach() if parameter.ndim == 3 else parameter.detach()[None]
        gradients = parameter.grad if parameter.ndim == 3 else parameter.grad[None]
        for matrix, gradient in zip(matrices, gradients, strict=True):
            copy = torch.nn.Parameter(matrix.clone())
            copy.grad = gradient
            copies.append(copy)
    return copies


def in_float32(
    grad: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """torch's iteration, line by line, without its rounding to bfloat16."""
    a, b, c = coefficients
    x = grad.T if grad.size(0) > grad.size(1) else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if grad.size(0) > grad.size(1) else x


def in_float64(matrix: Tensor) -> Tensor:
    return in_float32(matrix.double(), QUINTIC[0], 5, 1e-7)


def worst_errors(matrices: list[Tensor], skip: tuple[str, ...]) -> dict[str, float]:
    """Largest relative error (Frobenius) of each iteration against the one in float64, over one
    gradient of each shape."""
    gradients = list({tuple(matrix.shape): matrix.grad for matrix in matrices}.values())
    sides: dict[str, Callable[[Tensor], Tensor]] = {
        "openk2": lambda matrix: orthogonalize(matrix, dtype=torch.bfloat16),
        "openk2_float32": lambda matrix: orthogonalize(matrix, dtype=torch.float32),
        "torch": lambda matrix: torchs._zeropower_via_newtonschulz(matrix, QUINTIC[0], 5, 1e-7),
        "torch_in_float32": lambda matrix: in_float32(matrix, QUINTIC[0], 5, 1e-7),
    }
    wanted = [in_float64(gradient) for gradient in gradients]
    return {
        name: max(
            float((side(gradient).double() - exact).norm() / exact.norm())
            for gradient, exact in zip(gradients, wanted, strict=True)
        )
        for name, side in sides.items()
        if name not in skip
    }


def operations(matrix: Tensor) -> int:
    """Floating-point operations of five plain steps."""
    n, m = sorted(matrix.shape)
    return 5 * (4 * n * n * m + 2 * n**3)


def seconds(call: Callable[[], object], clock: Clock) -> float:
    began = clock()
    call()
    return clock() - began


def clock_of(processor_time: bool) -> Clock:
    """The clock; for processor time, everything runs in one thread from now on."""
    if not processor_time:
        return time.perf_counter
    torch.set_num_threads(1)
    native.set_threads(1)
    return time.process_time


def timing_inside(clock: Clock) -> list[float]:
    """A list that gets the seconds of every Newton-Schulz of ours from now on."""
    inside: list[float] = []
    for name in ("newton_schulz", "newton_schulz_twin"):
        plain = getattr(ours, name)

        def timed(*args: object, plain: Callable[..., Tensor] = plain) -> Tensor:
            began = clock()
            result = plain(*args)
            inside.append(clock() - began)
            return result

        setattr(ours, name, timed)
    return inside


def product_rate(dtype: torch.dtype, size: int, clock: Clock) -> float:
    """GFLOP/s of a large product, the best of five."""
    a, b = torch.randn(2, size, size).to(dtype)
    best = min(seconds(lambda: a @ b, clock) for _ in range(5))
    return 2e-9 * size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-bfloat16", action="store_true")
    parser.add_argument("--processor-time", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    clock = clock_of(options.processor_time)
    config = SHAPES[options.shape]
    config = replace(config, num_hidden_layers=options.layers or config.num_hidden_layers)
    parameters = hidden_matrices(K2Model(config).initialize(0))
    generator = torch.Generator().manual_seed(1)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator) * 1e-2
    singles = slices_of(parameters)
    mine = Muon(parameters, **SETTINGS)
    theirs = torch.optim.Muon(singles, adjust_lr_fn="match_rms_adamw", **SETTINGS)
    plain = torchs._zeropower_via_newtonschulz
    inside = timing_inside(clock)

    def theirs_in_float32() -> None:
        torchs._zeropower_via_newtonschulz = in_float32
        theirs.step()
        torchs._zeropower_via_newtonschulz = plain

    sides = {"openk2": mine.step, "torch_in_float32": theirs_in_float32}
    if not options.skip_bfloat16:
        sides["torch"] = theirs.step
    mine.step()
    (theirs_in_float32 if options.skip_bfloat16 else theirs.step)()
    flat = [matrix for p in parameters for matrix in (p if p.ndim == 3 else p[None])]
    apart = max(float((a - b).detach().abs().max()) for a, b in zip(flat, singles, strict=True))
    inside.clear()
    rounds = [
        {name: seconds(step, clock) for name, step in sides.items()} for _ in range(options.repeats)
    ]
    share = sum(inside) / sum(times["openk2"] for times in rounds)
    medians = {name: statistics.median(times[name] for times in rounds) for name in sides}
    errors = worst_errors(singles, skip=("torch",) if options.skip_bfloat16 else ())
    result = {
        "matrices": len(singles),
        "parameters": sum(p.numel() for p in parameters),
        "plain_gflop": 1e-9 * sum(map(operations, singles)),
        **{f"{name}_ms": 1e3 * median for name, median in medians.items()},
        **{f"ratio_to_{name}": medians[name] / medians["openk2"] for name in sides},
        "newton_schulz_share": share,
        "largest_difference_after_one_step": apart,
        **{f"error_{name}": error for name, error in errors.items()},
        "gflops_float32_product": product_rate(torch.float32, 2048, clock),
        "gflops_bfloat16_product": product_rate(torch.bfloat16, 1024, clock),
    }
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result}))
        return
    print(describe_machine(), options.shape, config.num_hidden_layers, "layers")
    for name, value in result.items():
        print(f"{name:>34} {value:,.6g}")


if __name__ == "__main__":
    main()
