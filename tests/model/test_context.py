"""What a query attends to."""

import pytest
import torch

from openk2.model import K2Model
from tiny import TINY


@torch.no_grad()
def test_packed_documents_do_not_see_each_other() -> None:
    model = K2Model(TINY).initialize(0)
    first, second = torch.randint(0, 64, (2, 10), generator=torch.Generator().manual_seed(0))
    row = torch.cat((first, second))[None]
    segments = torch.arange(2).repeat_interleave(10)[None]
    packed = model(row, segments=segments)[0]
    torch.testing.assert_close(packed[:10], model(first[None])[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed[10:], model(second[None])[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_token_does_not_see_the_future() -> None:
    model = K2Model(TINY).initialize(0)
    tokens = torch.randint(0, 64, (1, 12), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[0, 8:] = 63 - changed[0, 8:]
    torch.testing.assert_close(model(tokens)[0, :8], model(changed)[0, :8])


def test_a_cache_without_positions_is_refused() -> None:
    from openk2.model import ContiguousCache

    cache = ContiguousCache(TINY, 1, 4)
    with pytest.raises(ValueError, match="positions"):
        K2Model(TINY)(torch.zeros(1, 2, dtype=torch.int64), cache=cache)
