import pytest
import torch
from torch.optim._muon import _zeropower_via_newtonschulz

from openk2.kernels import iterate_newton_schulz, native, newton_schulz_chains
from openk2.optim import POLAR_EXPRESS, QUINTIC, orthogonalize


@pytest.mark.parametrize("shape", [(3, 16, 40), (3, 40, 16), (1, 24, 24), (7, 9)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    result = orthogonalize(matrices, dtype=torch.float32)
    assert result.shape == matrices.shape
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    rotated = u.mT @ result @ vh.mT
    values = rotated.diagonal(dim1=-2, dim2=-1)
    # The smallest singular value of a square matrix may be too small for five steps to lift.
    assert values.max() < 1.3
    assert values.median() > 0.6
    assert (rotated - torch.diag_embed(values)).abs().max() < 1e-3


def test_polar_express_lifts_small_values_and_converges_where_the_quintic_does_not() -> None:
    size = 32
    generator = torch.Generator().manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(size, size, generator=generator))[0] for _ in "uv")
    values = torch.logspace(-3, 0, size)
    matrix = u @ values.diag() @ v.mT / values.norm() * 1.0

    def spread(steps: int, **options: object) -> torch.Tensor:
        result = orthogonalize(matrix, steps=steps, dtype=torch.float32, **options)
        return torch.linalg.svdvals(result)

    polar, quintic = spread(5, coefficients=POLAR_EXPRESS), spread(5)
    assert polar.max() < 1.25
    assert polar.min() > 1.5 * quintic.min()
    assert (spread(9, coefficients=POLAR_EXPRESS) - 1).abs().max() < 1e-3
    assert (spread(9) - 1).abs().max() > 0.1


def test_a_batch_gives_what_each_matrix_gives_alone() -> None:
    matrices = torch.randn(5, 12, 20, generator=torch.Generator().manual_seed(0))
    alone = torch.stack([orthogonalize(m, dtype=torch.float32) for m in matrices])
    torch.testing.assert_close(orthogonalize(matrices, dtype=torch.float32), alone)


def test_a_zero_matrix_stays_zero_and_a_tiny_one_does_not() -> None:
    assert not orthogonalize(torch.zeros(4, 6)).any()
    tiny = torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) * 1e-20
    assert not orthogonalize(tiny).isnan().any()


@pytest.mark.skipif(not native.available(), reason="torch's products are in bfloat16")
def test_rounded_to_bfloat16_it_is_nearer_to_the_truth_than_products_in_bfloat16() -> None:
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    exact = orthogonalize(matrices, dtype=torch.float32)
    found = orthogonalize(matrices, dtype=torch.bfloat16)
    assert found.dtype == torch.bfloat16
    for matrix, mine, best in zip(matrices, found, exact, strict=True):
        theirs = _zeropower_via_newtonschulz(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
        assert (mine.float() - best).norm() < 0.5 * (theirs.float() - best).norm()


@pytest.mark.skipif(not native.available(), reason="without the kernel every step is by itself")
@pytest.mark.parametrize("shape", [(1, 8, 400), (1, 24, 24)])
def test_a_matrix_takes_the_chains_planned_for_its_shape(shape: tuple[int, int, int]) -> None:
    wide = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    chains = newton_schulz_chains(5, *shape[1:], torch.bfloat16)
    assert (len(chains) < 5) == (shape[2] > shape[1])
    x = wide / wide.norm(dim=(-2, -1), keepdim=True)
    wanted = iterate_newton_schulz(x, list(QUINTIC) * 5, chains).to(torch.bfloat16)
    for matrices, result in ((wide, wanted), (wide.mT, wanted.mT)):
        assert torch.equal(orthogonalize(matrices, dtype=torch.bfloat16), result)
