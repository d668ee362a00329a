import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.architecture import ModelConfig
from openk2.pretrained import LocalModelError, plan_cache

NANO = ModelConfig(num_hidden_layers=6, max_position_embeddings=4096)


def test_a_token_costs_one_latent_a_layer() -> None:
    plan = plan_cache(NANO, value_bytes=2, budget_bytes=1 << 30, max_batch=1)
    assert plan.bytes_per_token == 6 * 576 * 2


@given(
    budget=st.integers(1_000_000, 1 << 33),
    max_batch=st.integers(1, 64),
    value_bytes=st.sampled_from([2, 4]),
)
def test_the_plan_keeps_to_the_budget_and_holds_a_whole_request(
    budget: int, max_batch: int, value_bytes: int
) -> None:
    plan = plan_cache(NANO, value_bytes=value_bytes, budget_bytes=budget, max_batch=max_batch)
    assert plan.bytes <= budget
    assert plan.context_length <= plan.pages * plan.page_size
    assert plan.pages <= max_batch * -(-plan.context_length // plan.page_size)


def test_no_more_pages_are_made_than_the_batch_can_use() -> None:
    plan = plan_cache(NANO, value_bytes=2, budget_bytes=1 << 40, max_batch=3, context_length=65)
    assert plan.pages == 6


def test_a_context_beyond_model_or_budget_is_refused_with_numbers() -> None:
    with pytest.raises(LocalModelError, match=r"context length 5000 .* allows 1 to 4096"):
        plan_cache(NANO, value_bytes=2, budget_bytes=1 << 30, max_batch=1, context_length=5000)
    with pytest.raises(LocalModelError, match=r"holds 128 tokens .* at least 1,769,472 bytes"):
        plan_cache(NANO, value_bytes=2, budget_bytes=1_000_000, max_batch=1, context_length=200)
    with pytest.raises(LocalModelError, match="holds 0 tokens"):
        plan_cache(NANO, value_bytes=2, budget_bytes=100, max_batch=1)
