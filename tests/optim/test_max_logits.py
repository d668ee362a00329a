"""The three ways to the largest logit of a head, against all logits at once."""

import pytest
import torch
from torch import Tensor

from openk2.optim import exact_max_logits, max_logits_by_lse, max_logits_on_trigger

SCALE = 0.3


def all_logits(query: Tensor, key: Tensor, causal: bool) -> Tensor:
    key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    logits = torch.einsum("bhqd,bhkd->bhqk", query, key) * SCALE
    visible = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
    return logits.masked_fill(~visible, -torch.inf) if causal else logits


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("key_heads", [1, 2, 6])
@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_exact_is_the_maximum_of_all_logits(causal: bool, key_heads: int, chunk: int) -> None:
    query, key = random(1, 2, 6, 23, 8), random(2, 2, key_heads, 23, 8)
    expected = all_logits(query, key, causal).amax((0, 2, 3))
    actual = exact_max_logits(query, key, SCALE, causal=causal, chunk=chunk)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("chunk", [7, 64])
def test_pairs_behind_a_mask_do_not_count(chunk: int) -> None:
    query, key = random(1, 2, 6, 23, 8), random(2, 2, 3, 23, 8)
    key[1, :, 15:] *= 100  # padding
    visible = torch.ones(2, 1, 1, 23, dtype=torch.bool).expand(2, 1, 23, 23).clone()
    visible[1, ..., 15:] = False
    masked = all_logits(query, key, True).masked_fill(~visible, -torch.inf)
    actual = exact_max_logits(query, key, SCALE, visible=visible, chunk=chunk)
    torch.testing.assert_close(actual, masked.amax((0, 2, 3)))


@pytest.mark.parametrize("keys", [9, 40])
def test_all_keys_count_where_there_are_more_or_fewer_than_queries(keys: int) -> None:
    query, key = random(1, 2, 6, 23, 8), random(2, 2, 3, keys, 8)
    key[:, :, -1] *= 100
    visible = random(3, 2, 1, 23, keys) > 0
    logits = all_logits(query, key, False)
    actual = exact_max_logits(query, key, SCALE, causal=False, chunk=7)
    torch.testing.assert_close(actual, logits.amax((0, 2, 3)))
    actual = exact_max_logits(query, key, SCALE, causal=False, visible=visible, chunk=7)
    torch.testing.assert_close(actual, logits.masked_fill(~visible, -torch.inf).amax((0, 2, 3)))
    with pytest.raises(ValueError, match=f"23 queries and {keys} keys"):
        exact_max_logits(query, key, SCALE)


def test_the_bound_is_never_below_the_maximum_nor_far_above() -> None:
    query, key = random(1, 3, 4, 50, 8), random(2, 3, 4, 50, 8)
    logits = all_logits(query, key, True)
    largest, bound = logits.amax((0, 2, 3)), max_logits_by_lse(logits.logsumexp(-1))
    assert (bound >= largest).all()
    assert (bound <= largest + torch.tensor(50.0).log()).all()


def test_on_trigger_the_exact_values_of_layers_that_may_matter_decide() -> None:
    exact = torch.tensor([[99.0, 101.0], [98.0, 99.9], [5.0, 6.0]])
    bounds = exact + 0.2
    asked: list[int] = []

    def layer(index: int) -> Tensor:
        asked.append(index)
        return exact[index]

    result = max_logits_on_trigger(bounds, 100.0, [lambda i=i: layer(i) for i in range(3)])
    assert asked == [0, 1]
    assert torch.equal(result > 100.0, exact > 100.0)
    assert torch.equal(result[:2], exact[:2])
    assert torch.equal(result[2], bounds[2])
