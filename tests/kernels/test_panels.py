"""The layout of packed weights against its description in torch."""

import pytest
import torch

from openk2.kernels import native
from openk2.kernels.panels import pack_panels, paired_twin, panels_twin


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 33, 7), (3, 64, 130), (1, 40, 65), (2, 15, 256)])
def test_panels_are_laid_out_as_described(isa, weight_dtype, random_tensor, shape):
    weight, beside = (random_tensor(seed, *shape, dtype=weight_dtype) for seed in (0, 1))
    library = native.library()
    assert torch.equal(pack_panels(library, weight), panels_twin(weight))
    assert torch.equal(pack_panels(library, weight, beside), paired_twin(weight, beside))
    turned = weight.mT.contiguous().mT
    assert torch.equal(pack_panels(library, turned), panels_twin(weight))
