from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from openk2.kernels.newton_schulz import (
    LONGEST,
    iterate_newton_schulz,
    newton_schulz_chains,
    newton_schulz_twin,
)
from openk2.optim import POLAR_EXPRESS, QUINTIC

FIVE = {"quintic": [*QUINTIC] * 5, "polar express": [*POLAR_EXPRESS[:5]]}


def exactly(x: Tensor, polynomials: Sequence[tuple[float, float, float]]) -> Tensor:
    """The iteration in float64, written out."""
    x = x.double()
    for a, b, c in polynomials:
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def error(found: Tensor, exact: Tensor) -> float:
    """The worst of a batch, in the spectral norm, in relation to the result's own (about 1)."""
    return float(torch.linalg.matrix_norm(found.double() - exact, 2).max())


@pytest.fixture
def unit_matrices(random_tensor):
    def draw(*shape: int) -> Tensor:
        x = random_tensor(0, *shape)
        return x / x.norm(dim=(1, 2), keepdim=True)

    return draw


@pytest.fixture
def graded_matrices(unit_matrices):
    """Singular values evenly from 1 to 1e-4 on a logarithmic scale: hard for a Gram matrix."""

    def draw(*shape: int) -> Tensor:
        u, _, vh = torch.linalg.svd(unit_matrices(*shape), full_matrices=False)
        x = u * torch.logspace(0, -4, shape[1]) @ vh
        return x / x.norm(dim=(1, 2), keepdim=True)

    return draw


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("chains", [[1] * 5, [3, 2], [5], [1, 4]], ids=str)
@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 7, 30), (1, 32, 32), (2, 45, 131), (1, 100, 257)])
def test_it_is_the_iteration_in_float64_however_the_steps_are_chained(
    shape: tuple[int, ...], chains: list[int], name: str, isa: str, unit_matrices
) -> None:
    x = unit_matrices(*shape)
    exact = exactly(x, FIVE[name])
    # Square matrices have small singular values, of which long chains know less: none is taken.
    too_long = shape[1] == shape[2] and max(chains) > LONGEST[torch.float32]
    assert error(iterate_newton_schulz(x, FIVE[name], chains, isa), exact) < (
        2e-3 if too_long else 2e-4
    )


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 3e-4), (torch.bfloat16, 3e-2)])
def test_small_singular_values_survive_the_chains_that_are_taken(
    dtype: torch.dtype, bound: float, name: str, isa: str, graded_matrices
) -> None:
    x = graded_matrices(2, 96, 160)
    exact = exactly(x, FIVE[name])
    rounded = error(newton_schulz_twin(x.bfloat16(), FIVE[name]), exact)
    found = error(
        iterate_newton_schulz(x, FIVE[name], newton_schulz_chains(5, 96, 160, dtype), isa), exact
    )
    assert found < bound < rounded / 3


@pytest.mark.parametrize("chains", [[1, 1], [2]], ids=str)
def test_bits_depend_neither_on_the_batch_nor_on_threads(
    chains: list[int], isa: str, unit_matrices, using_threads
) -> None:
    x, steps = unit_matrices(5, 70, 130), FIVE["quintic"][:2]
    with using_threads(1):
        alone = torch.stack(
            [iterate_newton_schulz(m[None].clone(), steps, chains, isa)[0] for m in x]
        )
    with using_threads(3):
        together = iterate_newton_schulz(x.clone(), steps, chains, isa)
    assert torch.equal(alone, together)


def test_what_a_matrix_leaves_behind_is_not_seen_by_a_smaller_one(isa: str, unit_matrices) -> None:
    small = unit_matrices(1, 5, 9)
    before = iterate_newton_schulz(small.clone(), FIVE["quintic"], [5], isa)
    iterate_newton_schulz(torch.full((1, 64, 90), torch.nan), FIVE["quintic"], [5], isa)
    assert torch.equal(iterate_newton_schulz(small.clone(), FIVE["quintic"], [5], isa), before)


@pytest.mark.parametrize("dtype", LONGEST)
def test_chains_cover_the_steps_and_are_not_too_long(dtype: torch.dtype) -> None:
    for steps in range(1, 14):
        for shape in ((8, 8), (100, 105), (100, 110), (4, 400)):
            chains = newton_schulz_chains(steps, *shape, dtype)
            assert sum(chains) == steps
            assert min(chains) >= 1
            assert max(chains) <= LONGEST[dtype]
    assert newton_schulz_chains(5, 100, 100, dtype) == [1] * 5


def test_what_does_not_fit_is_refused() -> None:
    tall, wide, steps = torch.zeros(1, 6, 4), torch.zeros(1, 4, 6), FIVE["quintic"]
    for x in (tall, wide[0], tall.mT):
        with pytest.raises(ValueError, match="n <= m"):
            iterate_newton_schulz(x, steps, [5])
    for chains in ([4], [5, 0], [6, -1]):
        with pytest.raises(ValueError, match="no split of 5"):
            iterate_newton_schulz(wide, steps, chains)
    with pytest.raises(TypeError, match="float32"):
        iterate_newton_schulz(wide.bfloat16(), steps, [5])
