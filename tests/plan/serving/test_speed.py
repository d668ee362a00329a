from dataclasses import replace

import pytest

from openk2.plan.serving.layout import ServingLayout, held_weights
from openk2.plan.serving.machine import GB, ServingNode, find_node, profiles
from openk2.plan.serving.source import find_served
from openk2.plan.serving.speed import LayoutSpeed, all_reduce

H200 = find_node("h200")


def speed_of(layout: ServingLayout, model: str = "k2", node: ServingNode = H200) -> LayoutSpeed:
    subject = find_served(model)
    held = held_weights(list(subject.parts), layout, subject.network)
    assert node.gpu is not None
    token = 576 * 2 * held.layers / layout.dcp
    return LayoutSpeed(
        subject.network, subject.parts, subject.form, layout, held, node, node.gpu,
        profiles().rates, token,
    )  # fmt: skip


def test_a_step_takes_at_least_as_long_as_reading_what_it_touches() -> None:
    speed = speed_of(ServingLayout(tp=16))
    _, one = speed.decode(1, 1)
    held = speed.held
    touched = held.total - held.looked_up - held.experts * (1 - 8 / 384)
    assert one > touched / speed.memory_rate()
    _, many = speed.decode(4096, 1)
    assert many > (held.total - held.looked_up) * 0.999 / speed.memory_rate()


@pytest.mark.parametrize(
    "layout",
    [
        ServingLayout(tp=16),
        ServingLayout(tp=8, pp=2),
        ServingLayout(dp=16, expert_parallel=True),
        ServingLayout(tp=8, dp=2, expert_parallel=True),
    ],
)
def test_a_larger_batch_decodes_more_and_each_request_slower(layout: ServingLayout) -> None:
    speed = speed_of(layout)
    found = [speed.decode(batch, 8000) for batch in (16, 64, 256, 1024)]
    rates, steps = zip(*found, strict=True)
    assert list(rates) == sorted(rates)
    assert list(steps) == sorted(steps)


def test_longer_contexts_are_slower_and_dcp_shortens_the_reading() -> None:
    plain, spread = speed_of(ServingLayout(tp=8)), speed_of(ServingLayout(tp=8, dcp=8))
    assert plain.decode(64, 100_000)[0] < plain.decode(64, 1000)[0] / 3
    assert spread.decode(64, 100_000)[0] > 2 * plain.decode(64, 100_000)[0]


def test_long_prompts_cost_more_a_token() -> None:
    speed = speed_of(ServingLayout(tp=16))
    assert speed.prefill(128_000) < 0.7 * speed.prefill(1000)


def test_all_reduces_between_nodes_wait_for_the_network_and_those_inside_do_not() -> None:
    inside, between = speed_of(ServingLayout(tp=8)), speed_of(ServingLayout(tp=16))
    assert inside.waits() == profiles().rates.layer_latency
    assert between.waits() == profiles().rates.layer_latency + 2 * profiles().rates.network_latency


def test_a_ring_sends_all_but_a_rank_share_twice() -> None:
    subject = find_served("k2")
    assert H200.gpu is not None
    seconds = all_reduce(subject.network, 8, H200, H200.gpu)
    assert seconds == pytest.approx(2 * 7 / 8 * 7168 * 2 / (H200.gpu.link * GB))


def test_rows_to_experts_of_other_nodes_bound_a_slow_network() -> None:
    layout = ServingLayout(dp=32, expert_parallel=True)
    slow = speed_of(layout, node=replace(H200, network=5.0))
    ratio = slow.messages(once_a_node=False) / speed_of(layout).messages(once_a_node=False)
    assert ratio == pytest.approx(10)
    normal = slow.messages(once_a_node=True)
    assert normal < slow.messages(once_a_node=False)


def test_fp8_weights_on_a_gpu_without_fp8_compute_in_bfloat16() -> None:
    a100 = speed_of(ServingLayout(tp=16), node=find_node("a100"))
    share = profiles().rates.weight_only
    assert a100.products_rate() == pytest.approx(312e12 * share)
