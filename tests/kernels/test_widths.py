"""What has no width is refused by name, where a division by it would end the process."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch

from openk2.kernels import (
    PackedExperts,
    PackedHeads,
    PackedLinear,
    PackedSwiGLU,
    dequantize,
    iterate_newton_schulz,
    latent_attention,
    native,
    rms_norm,
    rotate,
    route,
)

ONE = torch.ones(1, dtype=torch.int32)


def attention(heads: int, width: int, page_size: int) -> torch.Tensor:
    query, pages = torch.ones(1, heads, width), torch.ones(1, page_size, width)
    return latent_attention(query, pages, ONE[None] - 1, ONE - 1, ONE, 1.0, 1)


EMPTY: dict[str, Callable[[], object]] = {
    "linear k": lambda: PackedLinear.pack(torch.ones(4, 0)),
    "linear columns": lambda: PackedLinear.pack(torch.ones(0, 4)),
    "heads": lambda: PackedHeads.pack(torch.ones(0, 4, 4)),
    "heads k": lambda: PackedHeads.pack(torch.ones(2, 4, 0)),
    "swiglu": lambda: PackedSwiGLU.pack(torch.ones(0, 4), torch.ones(0, 4), torch.ones(4, 0)),
    "experts inner": lambda: PackedExperts.pack(
        torch.ones(2, 0, 4), torch.ones(2, 0, 4), torch.ones(2, 4, 0)
    ),
    "experts": lambda: PackedExperts.pack(*[torch.ones(0, 4, 4)] * 3),
    "norm": lambda: rms_norm(torch.ones(3, 0), torch.ones(0), 1e-6),
    "rotate width": lambda: rotate(torch.ones(3, 2, 0), torch.ones(3, 0), torch.ones(3, 0)),
    "rotate heads": lambda: rotate(torch.ones(3, 0, 4), torch.ones(3, 2), torch.ones(3, 2)),
    "route": lambda: route(torch.ones(3, 0), torch.ones(0), 0, normalise=True, factor=1.0),
    "attention heads": lambda: attention(0, 4, 4),
    "attention width": lambda: attention(2, 0, 4),
    "attention pages": lambda: attention(2, 4, 0),
    "newton-schulz": lambda: iterate_newton_schulz(torch.ones(1, 0, 4), [(1.0, 0.0, 0.0)], [1]),
    "dequantize": lambda: dequantize(
        torch.ones(4, 0).to(torch.float8_e4m3fn), torch.ones(1, 0), (2, 2)
    ),
    "dequantize block": lambda: dequantize(
        torch.ones(4, 4).to(torch.float8_e4m3fn), torch.ones(1, 1), (0, 4)
    ),
}


@pytest.mark.parametrize("name", EMPTY)
def test_what_has_no_width_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"may be 0|at least 1|rank|wanted"):
        EMPTY[name]()


def test_no_rows_are_no_error() -> None:
    assert PackedLinear.pack(torch.ones(4, 4))(torch.ones(0, 4)).shape == (0, 4)
    assert rms_norm(torch.ones(0, 4), torch.ones(4), 1e-6).shape == (0, 4)
    assert rotate(torch.ones(0, 2, 4), torch.ones(0, 2), torch.ones(0, 2)).shape == (0, 2, 4)


@pytest.mark.skipif(not native.available(), reason="the native kernels are not built here")
@pytest.mark.parametrize("count", [257, 1024])
def test_more_threads_than_a_call_keeps_account_of_are_cut_to_as_many(count: int) -> None:
    """In a process of its own, as a stack that is overrun ends it."""
    program = f"""if True:
        import torch
        torch.set_num_threads({count})
        from openk2.kernels import PackedExperts, PackedLinear, native
        library = native.library()
        assert native.threads() == 256, native.threads()
        library.handle.openk2_set_threads({count})
        assert native.threads() == 256, native.threads()
        library.handle.openk2_set_threads(0)
        assert native.threads() == 1, native.threads()
        library.handle.openk2_set_threads({count})
        torch.manual_seed(0)
        weight, x = torch.randn(4096, 256), torch.randn(400, 256)
        assert torch.allclose(PackedLinear.pack(weight)(x), x @ weight.T, atol=1e-3)
        gate, up, down = torch.randn(3, 4, 64, 64).unbind()
        chosen = torch.randint(4, (300, 2))
        PackedExperts.pack(gate, up, down)(torch.randn(300, 64), torch.ones(300, 2), chosen)
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-1000:]
