"""Newton-Schulz orthogonalisation, batched.

Drives the singular values of a matrix towards 1 by a fixed odd polynomial (Muon, Jordan et al.
2024; coefficients as in Moonlight, arXiv 2502.16982). Five steps leave them in about 0.7..1.2,
which is what Muon wants of them.
"""

import torch
from torch import Tensor

QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalize(
    matrices: Tensor, *, steps: int = 5, dtype: torch.dtype = torch.bfloat16, eps: float = 1e-7
) -> Tensor:
    """The nearest semi-orthogonal matrix of each of `matrices` [..., n, m], in `dtype`.

    A zero matrix stays zero. dtype: float32 where results must not depend on how a batch was
    split over devices; bfloat16 is twice as fast and what Muon was tuned with.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    # The norm is taken before rounding so that a tiny gradient does not flush to zero.
    norm = matrices.float().norm(dim=(-2, -1), keepdim=True).clamp_min(eps)
    x = (matrices / norm).to(dtype)
    x = (x.mT if tall else x).reshape(-1, *sorted(matrices.shape[-2:]))
    for _ in range(steps):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    result: Tensor = x.mT if tall else x
    return result.reshape(matrices.shape)
