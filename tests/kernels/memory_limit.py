"""Calls of the native kernels in a process that may have no more memory: run by `test_memory.py`.

Prints a line for each call: what it raised under the limit, and whether it worked after it.
"""

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from openk2.kernels import (
    PackedLinear,
    PackedSwiGLU,
    iterate_newton_schulz,
    latent_attention,
    native,
    route,
)

ROWS = 192


def ending(call: Callable[[], object]) -> str:
    """The error that a call raises, or "done"."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


threads = int(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(0)
linear = PackedLinear.pack(torch.randn(512, 4096))
swiglu = PackedSwiGLU.pack(torch.randn(4096, 64), torch.randn(4096, 64), torch.randn(64, 4096))
x, y = torch.randn(ROWS, 4096), torch.empty(ROWS, 512)
narrow, mixed = torch.randn(ROWS, 64), torch.empty(ROWS, 64)
query, pages, attended = torch.randn(1, 64, 8192), torch.randn(1, 8, 8192), torch.empty(1, 64, 8192)
one = torch.ones(1, dtype=torch.int32)
logits, bias = torch.randn(1, 1_000_000), torch.zeros(1_000_000)
square = torch.eye(512)[None]
calls: dict[str, Callable[[], object]] = {
    "linear": lambda: linear(x, out=y),
    "experts": lambda: swiglu(narrow, out=mixed),
    "attention": lambda: latent_attention(
        query, pages, one[None] - 1, one - 1, one * 8, 1.0, 8192, out=attended
    ),
    "route": lambda: route(logits, bias, 2, normalise=True, factor=1.0),
    "newton_schulz": lambda: iterate_newton_schulz(square, [(1.5, -0.5, 0.0)], [1]),
}
native.set_threads(threads)
PackedLinear.pack(torch.ones(4096, 8))(torch.ones(1, 8))  # starts the threads
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (size + 2**17, most))
limited = {name: ending(call) for name, call in calls.items()}
resource.setrlimit(resource.RLIMIT_AS, (most, most))
for name, call in calls.items():
    print(f"{name}: {limited[name]}; then {ending(call)}")
