"""How `--memory` is divided."""

import re

import pytest

from openk2.architecture import Int4, ModelConfig
from openk2.streaming import BudgetError, plan_streaming, predict

GIB = 1 << 30
K2 = ModelConfig(quantization=(128, 128))


@pytest.mark.parametrize("config", [K2, ModelConfig(quantization=Int4(32))])
@pytest.mark.parametrize("memory", [32 * GIB, 200 * GIB])
def test_all_parts_fit_and_no_further_expert_would(config: ModelConfig, memory: int) -> None:
    plan = plan_streaming(config, memory, cache=GIB)
    assert plan.total <= memory < plan.total + plan.slot_bytes
    assert plan.experts == 60 * 384


def test_the_refusal_names_a_budget_that_is_enough() -> None:
    with pytest.raises(BudgetError, match="raise --memory") as caught:
        plan_streaming(K2, 10 * GIB, cache=0)
    needed = int(re.findall(r"need ([\d,]+)", str(caught.value))[0].replace(",", ""))
    assert plan_streaming(K2, needed, cache=0).slots >= 16
    with pytest.raises(BudgetError):
        plan_streaming(K2, needed - 1, cache=0)


def test_memory_for_all_experts_is_not_exceeded() -> None:
    plan = plan_streaming(K2, 4000 * GIB, cache=0)
    assert plan.slots == plan.experts
    assert 0.9e12 < plan.slab + plan.resident < 1.1e12


def test_a_prediction_grows_with_disk_processor_and_hits() -> None:
    slow = predict(K2, disk=1e9, compute=1e10, packing=0.01, hit_rate=0.5)
    # 60 layers of 8 experts of 44 MB, half of them missed, a fifth more for guesses.
    assert slow.bytes_read == pytest.approx(60 * 8 * 44.1e6 * 0.5 * 1.2, rel=0.01)
    for better in (
        predict(K2, disk=2e9, compute=1e10, packing=0.01, hit_rate=0.5),
        predict(K2, disk=1e9, compute=2e10, packing=0.01, hit_rate=0.5),
        predict(K2, disk=1e9, compute=1e10, packing=0.01, hit_rate=0.8),
        predict(K2, disk=1e9, compute=1e10, packing=0.005, hit_rate=0.5),
    ):
        assert better.tokens_per_second > slow.tokens_per_second
    assert slow.tokens_per_second < slow.bound
