"""How far stored values are from exact ones, as sums that add up over the parts of a tensor."""

from array import array

import torch
from torch import Tensor

from openk2.kernels import native
from openk2.kernels.native.shared_library import TYPES


def squared_error(exact: Tensor, stored: Tensor) -> tuple[float, float]:
    """Sum of (exact - stored)^2 and of exact^2, two tensors of one shape in any float dtypes.

    The root of their ratio is the relative error. The sums are of float32 squares, added in
    float64 in pieces; torch's and the native kernel's differ in the last digits.
    """
    library = native.library() if exact.is_cpu and stored.is_cpu else None
    if library is None or exact.dtype not in TYPES or stored.dtype not in TYPES:
        return _squared_error_plainly(exact, stored)
    exact, stored = exact.detach().contiguous(), stored.detach().contiguous()
    sums = array("d", [0.0, 0.0])
    library.add_squares(
        exact.data_ptr(),
        TYPES[exact.dtype],
        stored.data_ptr(),
        TYPES[stored.dtype],
        exact.numel(),
        sums.buffer_info()[0],
    )
    return sums[0], sums[1]


def _squared_error_plainly(exact: Tensor, stored: Tensor) -> tuple[float, float]:
    wide = exact.float()
    off, all_ = (wide - stored.float()).square(), wide.square()
    return float(off.sum(dtype=torch.float64)), float(all_.sum(dtype=torch.float64))
