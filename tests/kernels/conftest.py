from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor

from openk2.kernels import native

DTYPES = (torch.float32, torch.bfloat16)


@pytest.fixture(scope="session", autouse=True)
def torch_alone() -> Iterator[None]:
    """torch in one thread: small products in two wait for each other on a machine that is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", params=native.instruction_sets() or [None])
def isa(request) -> str:
    """Each instruction set that this processor runs."""
    if request.param is None:
        pytest.skip("the native kernels are not built here")
    return request.param


@pytest.fixture(scope="session", params=DTYPES, ids=["x-float32", "x-bfloat16"])
def x_dtype(request) -> torch.dtype:
    return request.param


@pytest.fixture(scope="session", params=DTYPES, ids=["weight-float32", "weight-bfloat16"])
def weight_dtype(request) -> torch.dtype:
    return request.param


@pytest.fixture(scope="session")
def using_threads() -> Callable[[int], AbstractContextManager[None]]:
    """Let the kernels use so many threads for a while."""

    @contextmanager
    def use(count: int) -> Iterator[None]:
        before = native.threads()
        native.set_threads(count)
        try:
            yield
        finally:
            native.set_threads(before)

    return use


@pytest.fixture(scope="session")
def random_tensor() -> Callable[..., Tensor]:
    """Normal numbers of a seed."""

    def draw(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)

    return draw


@pytest.fixture(scope="session")
def pairs_meet() -> Callable[..., bool]:
    """Whether an instruction set multiplies bfloat16 by bfloat16, rounding what lies between."""

    def meet(isa: str, *dtypes: torch.dtype) -> bool:
        return isa == "avx512_bf16" and set(dtypes) == {torch.bfloat16}

    return meet
