"""The layout of packed weights against its description in torch."""

import pytest
import torch

from openk2.kernels import native
from openk2.kernels.panels import empty_panels, layout_of, pack_into, paired_twin, panels_twin


def packed(weight, beside=None):
    """weight [B, N, K], and one beside it, as the library packs them."""
    library = native.library()
    out = empty_panels(layout_of(weight), *weight.shape, beside=beside is not None)
    for index, panels in enumerate(out):
        pack_into(library, weight[index], panels, None if beside is None else beside[index])
    return out


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 7), (3, 64, 130), (1, 40, 65), (2, 15, 256)])
def test_panels_are_laid_out_as_described(isa, weight_dtype, random_tensor, shape):
    weight, beside = (random_tensor(seed, *shape, dtype=weight_dtype) for seed in (0, 1))
    alone, paired = panels_twin(weight), paired_twin(weight, beside)
    assert torch.equal(packed(weight).flatten(), alone.view(torch.uint8).flatten())
    assert torch.equal(packed(weight, beside).flatten(), paired.view(torch.uint8).flatten())
    turned = weight.mT.contiguous().mT
    assert torch.equal(packed(turned).flatten(), alone.view(torch.uint8).flatten())
