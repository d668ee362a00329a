"""The native kernels against torch, alternately in one process: microseconds, rates and ratios.

    python benchmarks/kernels.py [--threads 1] [--seconds 0.5] [--only linear attention ...]

A figure is the least of all runs of a case, beside the ratio of the least and that of the medians:
where another process takes the processors, the first is nearer to what the machine can do and the
second to what it did. Weights of up to a few MB lie in the caches, where rates exceed the memory's.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from openk2.kernels import PackedExperts, PackedLinear, latent_attention, native, rms_norm
from openk2.kernels.block_fp8 import dequantize_natively, quantize
from openk2.record.machine import describe_machine

ROWS = (1, 8, 32, 512)
SHAPES = ((320, 1024), (512, 768), (1024, 320), (1024, 1024), (7168, 2048))  # K, N
DTYPES = (torch.bfloat16, torch.float32)
TURN, REST = 0.01, 0.01  # seconds


@dataclass(frozen=True)
class Case:
    """Two ways to the same result, what they must read at least and what they compute."""

    name: str
    native: Callable[[], object]
    torch: Callable[[], object]
    bytes: int
    operations: int


def linear() -> Iterator[Case]:
    for dtype in DTYPES:
        for k, n in SHAPES:
            weight = torch.randn(n, k).to(dtype)
            packed = PackedLinear.pack(weight)
            for rows in ROWS:
                x = torch.randn(rows, k).to(dtype)
                yield Case(
                    f"linear {name(dtype)} K={k} N={n} M={rows}",
                    lambda x=x, packed=packed: packed(x),
                    lambda x=x, weight=weight: F.linear(x, weight),
                    weight.nbytes,
                    2 * rows * k * n,
                )


def experts() -> Iterator[Case]:
    for dtype in DTYPES:
        for count, choices, hidden, inner in ((16, 2, 256, 192), (64, 6, 1024, 512)):
            gate, up = (torch.randn(count, inner, hidden).to(dtype) * 0.05 for _ in range(2))
            down = torch.randn(count, hidden, inner).to(dtype) * 0.05
            packed = PackedExperts.pack(gate, up, down)
            for rows in ROWS:
                x, weights = torch.randn(rows, hidden).to(dtype), torch.rand(rows, choices)
                chosen = torch.rand(rows, count).argsort(dim=-1)[:, :choices].contiguous()
                stacks = gate, up, down
                used = len(chosen.unique())
                yield Case(
                    f"experts {name(dtype)} {choices} of {count}, {hidden} x {inner}, M={rows}",
                    lambda a=(x, weights, chosen), packed=packed: packed(*a),
                    lambda a=(x, weights, chosen), stacks=stacks: torch_experts(*a, *stacks),
                    used * 3 * hidden * inner * gate.itemsize,
                    6 * rows * choices * hidden * inner,
                )


def torch_experts(
    x: Tensor, weights: Tensor, chosen: Tensor, gate: Tensor, up: Tensor, down: Tensor
) -> Tensor:
    """As the model does it for training: rows sorted by expert, each expert's rows together."""
    order = chosen.flatten().argsort(stable=True)
    counts = torch.bincount(chosen.flatten(), minlength=len(gate)).tolist()
    rows = x.repeat_interleave(chosen.shape[1], dim=0)[order].split(counts)
    outputs = [
        F.linear(F.silu(F.linear(some, gate[e])) * F.linear(some, up[e]), down[e])
        for e, some in enumerate(rows)
        if counts[e]
    ]
    routed = torch.cat(outputs)[order.argsort()].unflatten(0, (-1, chosen.shape[1]))
    return (routed * weights[..., None]).sum(1).to(x.dtype)


def attention() -> Iterator[Case]:
    """Latents of K2's width: sequences, queries a sequence, heads, keys."""
    dim, rank, page = 576, 512, 64
    shapes = ((1, 1, 2, 512), (1, 1, 8, 512), (1, 1, 64, 4096), (8, 1, 8, 512), (32, 1, 8, 512))
    for dtype in DTYPES:
        for sequences, queries, heads, keys in (*shapes, (1, 128, 2, 512), (1, 128, 8, 512)):
            pages = (torch.randn(sequences * keys // page, page, dim) * 0.5).to(dtype)
            tables = torch.arange(len(pages), dtype=torch.int32).view(sequences, -1)
            q = (torch.randn(sequences * queries, heads, dim) * 0.5).to(dtype)
            owner = torch.arange(sequences, dtype=torch.int32).repeat_interleave(queries)
            lengths = torch.arange(keys - queries + 1, keys + 1, dtype=torch.int32)
            hidden = torch.arange(keys) >= lengths[:, None, None]
            everything = q, pages, tables, owner, lengths.repeat(sequences), dim**-0.5, rank
            yield Case(
                f"attention {name(dtype)} {sequences} x {queries} queries, {heads} heads, "
                f"{keys} keys",
                lambda everything=everything: latent_attention(*everything),
                lambda q=q, latents=pages.view(sequences, keys, dim), hidden=hidden: (
                    torch_attention(q, latents, hidden)
                ),
                pages.nbytes,
                2 * heads * (dim + rank) * int(lengths.sum()) * sequences,
            )


def torch_attention(q: Tensor, latents: Tensor, hidden: Tensor) -> Tensor:
    """As the model does it without pages: heads and queries as rows of one product a sequence."""
    sequences, keys, dim = latents.shape
    rows = q.view(sequences, -1, dim)
    logits = torch.bmm(rows, latents.mT).float() * dim**-0.5
    logits = logits.view(sequences, -1, q.shape[1], keys).masked_fill(hidden, -torch.inf)
    weights = logits.softmax(-1).to(q.dtype).view(sequences, -1, keys)
    return torch.bmm(weights, latents[..., :512])


def pointwise() -> Iterator[Case]:
    for rows, width in ((1, 256), (32, 1024), (512, 1024)):
        x, weight = torch.randn(rows, width), torch.ones(width)
        yield Case(
            f"rms_norm float32 {rows} x {width}",
            lambda x=x, weight=weight: rms_norm(x, weight, 1e-6),
            lambda x=x, weight=weight: F.rms_norm(x, weight.shape, weight, 1e-6),
            2 * x.nbytes,
            4 * x.numel(),
        )
    quantized, scales = quantize(torch.randn(2048, 7168))
    out = torch.empty(quantized.shape, dtype=torch.bfloat16)
    yield Case(
        "dequantize block fp8 2048 x 7168 to bfloat16",
        lambda: dequantize_natively(quantized, scales, (128, 128), out),
        lambda: torch_dequantize(quantized, scales, out),
        3 * quantized.numel(),
        quantized.numel(),
    )


def torch_dequantize(quantized: Tensor, scales: Tensor, out: Tensor) -> None:
    for index, strip in enumerate(quantized.split(128)):
        out[index * 128 :][:128] = strip.float() * scales[index].repeat_interleave(128)


def name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def alternate(case: Case, seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of each run of the two sides, turn by turn, a turn being some 10 ms of runs.

    Between turns both sides' threads come to rest: torch's go on looking for work for milliseconds,
    on the processors that the other side's threads need.
    """
    ours: list[float] = []
    theirs: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(ours) < 7:
        for function, times in ((case.native, ours), (case.torch, theirs)):
            time.sleep(REST)
            function()  # fills the caches again
            turn = time.perf_counter() + TURN
            while (began := time.perf_counter()) < turn:
                function()
                times.append(time.perf_counter() - began)
    return ours, theirs


GROUPS = {
    "linear": linear,
    "experts": experts,
    "attention": attention,
    "pointwise": pointwise,
}


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.5, help="a case, both sides together")
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    arguments = parser.parse_args()
    if not native.available():
        raise SystemExit("the native kernels are not built here")
    torch.set_num_threads(arguments.threads)
    native.set_threads(arguments.threads)
    torch.manual_seed(0)
    load = os.getloadavg()[0]
    print(f"{describe_machine()}; load {load:.1f}; {arguments.threads} threads;", end=" ")
    print(native.instruction_sets()[0])
    print("| case | native us | GB/s | GFLOP/s | torch us | ratio | of medians |")
    print("|---|---|---|---|---|---|---|")
    for group in arguments.only:
        for case in GROUPS[group]():
            ours, theirs = alternate(case, arguments.seconds)
            least = min(ours)
            ratios = min(theirs) / least, statistics.median(theirs) / statistics.median(ours)
            rates = f"{case.bytes / least / 1e9:.1f} | {case.operations / least / 1e9:.0f}"
            print(
                f"| {case.name} | {least * 1e6:.1f} | {rates} | {min(theirs) * 1e6:.1f} "
                f"| {ratios[0]:.2f} | {ratios[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
