"""`iterate_newton_schulz`: Muon's iteration on wide matrices, through their Gram matrices.

Line 5 of algorithm 1 (report 2.1). A step takes X [n, m] to P X, P = a I + b G + c G^2 with G = X
X^T. What can be saved without changing the polynomial: all matrices but X are symmetric, so that
half of each need not be computed; and steps can share one X, since the next step's G is P G P. A
chain of L steps costs, in units of n^3 with ratio r = m / n, about r + 4 L - 3 for products of
symmetric matrices and 2 r for its polynomial times X, where L steps for themselves cost L (3 r +
1). The plain iteration costs L (4 r + 2).

A chain takes G from rounded products, so that a singular value s of X is known up to an error of
1e-7 / s^2 of itself, and the longer the chain, the smaller the s that still matters. On matrices
with singular values from 1 down to 1e-4 chains of 3 err by 1e-4 at most, in relation to the result,
chains of 5 by 5e-3; the plain iteration in bfloat16 by 1e-1 and more (see tests).
"""

import array
from collections.abc import Sequence

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.native.shared_library import NEWTON_SCHULZ, refuse_empty

# The longest chain where the result is wanted in float32, and where it may be rounded to bfloat16.
LONGEST = {torch.float32: 3, torch.bfloat16: 5}
# The ratio m / n from which a chain costs less than its steps one by one: 1 by the counts above,
# a little more since half of a block on the diagonal is computed for nothing.
LEAST_RATIO = 1.06

Polynomial = tuple[float, float, float]


def iterate_newton_schulz(
    x: Tensor, polynomials: Sequence[Polynomial], chains: Sequence[int], isa: str | None = None
) -> Tensor:
    """Apply a x + b x^3 + c x^5, one after the other, to the singular values of x [B, n, m].

    x: float32, contiguous, n <= m, singular values at most about 1; it is overwritten and returned.
    polynomials: (a, b, c) of each step. chains: how many steps share one X, as given by
    `newton_schulz_chains`; their sum is the number of steps.
    Each matrix's bits depend on itself alone, not on the batch nor on the number of threads.
    Raises ValueError for shapes and chains that do not fit, TypeError for another dtype.
    """
    refuse_empty("x", x, 1)
    if x.dim() != 3 or x.shape[1] > x.shape[2] or not x.is_contiguous():
        raise ValueError(f"x is {list(x.shape)}: contiguous [B, n, m] with n <= m is wanted")
    if sum(chains) != len(polynomials) or min(chains, default=1) < 1:
        raise ValueError(f"chains {list(chains)} are no split of {len(polynomials)} steps")
    if x.dtype != torch.float32:
        raise TypeError(f"x is {x.dtype}: float32 is wanted")
    library = native.library() if x.is_cpu else None
    if library is None:
        return x.copy_(newton_schulz_twin(x, polynomials))
    coefficients = array.array("f", [value for triple in polynomials for value in triple])
    lengths = array.array("q", chains)
    library.newton_schulz(
        NEWTON_SCHULZ.pack(
            library.kernels(isa),
            x.data_ptr(),
            *x.shape,
            coefficients.buffer_info()[0],
            lengths.buffer_info()[0],
            len(lengths),
        )
    )
    return x


def newton_schulz_chains(steps: int, rows: int, columns: int, dtype: torch.dtype) -> list[int]:
    """How `steps` steps on a matrix of rows <= columns are best split into chains.

    dtype: in which the result is wanted, float32 or bfloat16.
    """
    if columns < LEAST_RATIO * rows:
        return [1] * steps
    count = -(-steps // LONGEST[dtype])
    return [steps // count + (index < steps % count) for index in range(count)]


def newton_schulz_twin(x: Tensor, polynomials: Sequence[Polynomial]) -> Tensor:
    """The same by torch, step by step, in x's dtype: [count, rows, columns], rows <= columns."""
    count, rows, _ = x.shape
    y, gram = torch.empty_like(x), x.new_empty(count, rows, rows)
    polynomial = torch.empty_like(gram)
    for a, b, c in polynomials:
        torch.bmm(x, x.mT, out=gram)
        torch.baddbmm(gram, gram, gram, beta=b, alpha=c, out=polynomial)
        x, y = torch.baddbmm(x, polynomial, x, beta=a, out=y), x
    return x
