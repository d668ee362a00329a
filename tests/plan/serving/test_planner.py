import subprocess
import sys
from dataclasses import replace

import pytest

from openk2.plan import (
    PlannedLayout,
    ServingDemand,
    ServingError,
    ServingPlan,
    ServingWork,
    find_engine,
    find_node,
    find_served,
    plan_serving,
)
from openk2.plan.serving.layout import ServingLayout, layouts_of, refusals
from openk2.plan.serving.machine import profiles
from openk2.plan.serving.planner import ServingPlanner
from openk2.plan.serving.split import pool

NO_NETWORK_NO_TORCH = """
import socket, sys, time
def refuse(*_, **__): raise OSError("no network")
socket.socket.connect = refuse
from openk2.cli.main import app
begun = time.process_time()
try:
    app(["plan", "serve", "k2", "--machine", "h200", "--json"])
except SystemExit as end:
    assert end.code in (0, None), end.code
assert "torch" not in sys.modules
print(time.process_time() - begun, file=sys.stderr)
"""


def planned(gpus: list[int], **changes: object) -> ServingPlan:
    """K2-Thinking on H200s unless told otherwise."""
    model, machine = str(changes.pop("model", "k2-thinking")), str(changes.pop("machine", "h200"))
    demand = ServingDemand(**{"context": 131072, **changes})  # type: ignore[arg-type]
    return plan_serving(find_served(model), find_node(machine), find_engine("vllm"), demand, gpus)


def named(plan: ServingPlan, name: str) -> PlannedLayout:
    return next(layout for layout in plan.layouts if layout.name == name)


def test_a_trillion_parameters_are_planned_in_five_seconds_without_network_and_torch() -> None:
    command = [sys.executable, "-c", NO_NETWORK_NO_TORCH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stderr.split()[-1]) < 5


def test_the_cache_is_replicated_over_tp_and_split_over_dcp_and_dp() -> None:
    plan = planned([8])
    replicated, split = named(plan, "TP8"), named(plan, "TP8 DCP8")
    whole = 131072 * 70272
    assert replicated.parts["cache"] == whole
    assert split.parts["cache"] == whole / 8
    many = planned([8], concurrency=8)
    assert named(many, "TP8").parts["cache"] == 8 * whole
    assert named(many, "DP8 EP8").parts["cache"] == whole


def test_more_concurrency_and_longer_requests_only_ever_turn_yes_into_no() -> None:
    before: set[str] = {layout.name for layout in planned([8], concurrency=1).on_gpus}
    for concurrency in (4, 16, 64, 4096):
        fitting = {layout.name for layout in planned([8], concurrency=concurrency).on_gpus}
        assert fitting <= before
        before = fitting
    assert before == set()


def test_an_fp8_cache_halves_the_cache_and_can_turn_no_into_yes() -> None:
    wanted = {"model": "k2-thinking", "machine": "h20", "context": 200000}
    assert not named(planned([8], **wanted), "TP8").fits
    halved = named(planned([8], **wanted, cache_number=1), "TP8")
    assert halved.fits
    assert halved.parts["cache"] == 200000 * 70272 / 2


def test_the_longest_context_is_the_one_that_still_fits() -> None:
    longest = named(planned([8], machine="h20"), "TP8").context
    assert named(planned([8], machine="h20", context=longest), "TP8").fits
    assert not named(planned([8], machine="h20", context=longest + 1), "TP8").fits


def test_a_context_beyond_the_window_is_refused_with_both_numbers() -> None:
    planned([8], context=262144)
    with pytest.raises(ServingError, match=r"300,000 tokens .* window of 262,144 .* 262144 or le"):
        planned([8], context=300_000)


def test_the_bar_and_what_is_free_add_up_to_the_engines_share() -> None:
    engine = find_engine("vllm")
    for layout in planned([8, 16]).on_gpus:
        used = sum(layout.parts.values()) + layout.free + engine.margin * 2**30
        assert used == pytest.approx(layout.capacity * engine.utilization)


@pytest.mark.parametrize("node", [1, 8])
@pytest.mark.parametrize("gpus", [1, 2, 8, 16, 32, 64])
def test_layouts_use_exactly_the_gpus_and_have_names_of_their_own(gpus: int, node: int) -> None:
    layouts = layouts_of(gpus, node)
    assert {layout.gpus for layout in layouts} == {gpus}
    assert len({layout.name for layout in layouts}) == len(layouts)


def test_blocks_refuse_tp32_and_not_tp16_and_groups_of_32_refuse_neither() -> None:
    fp8, int4 = find_served("k2"), find_served("k2-thinking")
    assert refusals(ServingLayout(tp=16), fp8.network, fp8.form) == []
    found = refusals(ServingLayout(tp=32), fp8.network, fp8.form)
    assert any("18,432 / 32 = 576" in reason for reason in found)
    assert refusals(ServingLayout(tp=32), int4.network, int4.form) == []
    assert len(refusals(ServingLayout(tp=64), int4.network, int4.form)) == 1  # 2,048 / 64 = 32


def test_prefill_and_decode_are_split_only_where_both_pools_fit() -> None:
    two, four = planned([16, 32], model="k2").layouts, planned([32], model="k2").layouts
    assert [plan.fits for plan in two if plan.kind == "split"] == [False, True]
    split = next(plan for plan in four if plan.kind == "split")
    assert split.name == "prefill DP16 EP16 | decode DP16 EP16"


def test_a_pool_that_experts_do_not_divide_into_gets_redundant_ones() -> None:
    subject, demand = find_served("k2"), ServingDemand(8192)
    planner = ServingPlanner(
        subject.network, subject.form, subject.parts, find_node("h200"), find_engine("vllm"),
        profiles().rates, demand,
    )  # fmt: skip
    assert pool(planner, 32).redundant == 0
    uneven = pool(planner, 40)
    assert uneven.redundant == 16  # 400 over 40 ranks
    assert planner.plan_layout(uneven).fits


def test_long_prompts_move_nodes_from_decode_to_prefill() -> None:
    def prefill_gpus(prompt: int, answer: int) -> int:
        work = ServingWork(prompt, answer)
        plans = planned([64], work=work, context=20000).layouts
        split = next(plan for plan in plans if plan.kind == "split")
        return int(split.name.split("DP")[1].split()[0])

    assert prefill_gpus(16000, 100) > prefill_gpus(100, 4000)


def test_a_machine_without_enough_ram_puts_experts_on_disk_and_is_slower() -> None:
    node = find_node("workstation")
    subject, engine = find_served("k2-thinking"), find_engine("vllm")
    demand = ServingDemand(8192)
    small = replace(node, gpu=find_node("rtx4090-48").gpu, ram=128)
    roomy = replace(small, ram=768)
    disk = plan_serving(subject, small, engine, demand, [1])
    ram = plan_serving(subject, roomy, engine, demand, [1])
    assert [plan.kind for plan in disk.offloaded] == ["disk"]
    assert [plan.kind for plan in ram.offloaded] == ["ram"]
    slow, fast = disk.offloaded[0].rates, ram.offloaded[0].rates
    assert slow is not None
    assert fast is not None
    assert slow.one < fast.one / 5


def test_the_price_is_of_the_gpus_time() -> None:
    plan = named(planned([8], dollars=2.0), "TP8")
    assert plan.rates is not None
    assert plan.price is not None
    hours = 1e6 / plan.rates.decode / 3600
    assert plan.price.answer == pytest.approx(hours * 8 * 2.0)
    assert named(planned([8]), "TP8").price is None
