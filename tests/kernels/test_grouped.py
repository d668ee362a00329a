import pytest
import torch

from openk2.kernels import grouped_product
from openk2.kernels.grouped import grouped_loop, has_grouped_kernel


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("counts", [[3, 0, 4, 1], [0, 0, 1, 0], [0, 5, 0, 0]], ids=str)
def test_every_row_meets_its_groups_matrix(counts: list[int], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(sum(counts), 24, generator=generator).to(dtype)
    stack = torch.randn(4, 40, 24, generator=generator).to(dtype)
    ends = torch.tensor(counts).cumsum(0).int()
    owners = torch.repeat_interleave(torch.arange(4), torch.tensor(counts))
    expected = torch.einsum("mi,moi->mo", rows.double(), stack[owners].double())
    for product in (grouped_product, grouped_loop):
        result = product(rows, stack, ends)
        assert result.dtype == dtype
        atol = 1e-5 if dtype is torch.float32 else 0.05
        torch.testing.assert_close(result.double(), expected, atol=atol, rtol=1e-2)


def test_a_device_that_is_no_cpu_groups_aligned_bfloat16_alone() -> None:
    with torch.device("meta"):
        rows, stack = torch.empty(5, 24), torch.empty(4, 40, 24)
        odd = torch.empty(5, 12), torch.empty(4, 40, 12)
    assert has_grouped_kernel(rows.bfloat16(), stack.bfloat16())
    assert not has_grouped_kernel(rows, stack)
    assert not has_grouped_kernel(odd[0].bfloat16(), odd[1].bfloat16())
