"""Newton-Schulz orthogonalisation, batched.

Line 5 of the report's algorithm 1. Odd polynomials of degree 5 drive the singular values of a
matrix towards 1. There are two sets of them:

- QUINTIC, the same in every step (Muon, Jordan et al. 2024; as in Moonlight, arXiv 2502.16982):
  five steps bring the values to about 0.7..1.2, which is close enough for Muon.
- POLAR_EXPRESS, a different one in every step (arXiv 2505.16932): each is optimal for the range
  that the earlier steps leave of 0.001..1, so small values grow faster, and all converge to 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from openk2.kernels import iterate_newton_schulz, native, newton_schulz_chains, newton_schulz_twin

# a, b, c of a x + b x^3 + c x^5, step by step; the last one is used from there on.
Coefficients = Sequence[tuple[float, float, float]]

QUINTIC: Coefficients = ((3.4445, -4.7750, 2.0315),)
_BEST: Coefficients = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
)
# Rounding may leave a value slightly above 1, where the optimal polynomials diverge: all but the
# last are stretched by 1 %, as in the paper.
POLAR_EXPRESS: Coefficients = (
    *((a / 1.01, b / 1.01**3, c / 1.01**5) for a, b, c in _BEST),
    (1.875, -1.25, 0.375),
)


@torch.no_grad()
def orthogonalize(
    matrices: Tensor,
    *,
    steps: int = 5,
    coefficients: Coefficients = QUINTIC,
    dtype: torch.dtype = torch.bfloat16,
    eps: float = 1e-7,
    overwrite: bool = False,
) -> Tensor:
    """The nearest semi-orthogonal matrix of each of `matrices` [..., n, m]; same shape, `dtype`.

    Line 5 of algorithm 1 (report 2.1), without its factor, see `update_scale`.

    A zero matrix stays zero. dtype: float32 where results must not depend on how a batch was
    split over devices; bfloat16 is what Muon was tuned with, and at least twice as fast on a GPU.
    On a CPU the native kernel computes in float32 either way: it needs fewer operations, and many
    processors multiply bfloat16 slowly (docs/design/kernels.md). Without it torch multiplies in
    `dtype`, step by step.
    overwrite: whether the memory of float32 `matrices` may be reused. That saves a copy of
    contiguous matrices that are not tall.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices
    # Contiguous, so that the norm's bits do not depend on the matrices' strides; normalised before
    # rounding, so that a tiny gradient does not flush to zero.
    usable = overwrite and wide.dtype == torch.float32 and wide.is_contiguous()
    x = wide if usable else torch.empty(wide.shape, device=wide.device).copy_(wide)
    x = x.div_(x.norm(dim=(-2, -1), keepdim=True).clamp_min_(eps)).view(-1, *wide.shape[-2:])
    polynomials = [coefficients[min(step, len(coefficients) - 1)] for step in range(steps)]
    # A compiler can fuse around torch's products, not around the native kernel.
    if x.is_cpu and not torch.compiler.is_compiling() and native.available():
        chains = newton_schulz_chains(steps, x.shape[1], x.shape[2], dtype)
        x = iterate_newton_schulz(x, polynomials, chains).to(dtype)
    else:
        x = newton_schulz_twin(x.to(dtype), polynomials)
    result: Tensor = x.mT if tall else x
    return result.reshape(matrices.shape)
