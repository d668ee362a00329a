"""DeepEP is written where its kernels run."""

import pytest

from deployed import deployed
from openk2.deploy import NodePlace
from openk2.plan import uses_deepep
from openk2.plan.serving.formats import find_format
from openk2.plan.serving.layout import ServingLayout
from openk2.plan.serving.machine import read_catalogue

NODES = read_catalogue()
SPREAD = ServingLayout(dp=32, expert_parallel=True)


def test_deepep_runs_on_nvidia_gpus_with_fp8_and_nvlink() -> None:
    form = find_format("block-fp8")
    runs = {
        name for name, node in NODES.items() if node.gpu and uses_deepep(form, SPREAD, node.gpu)
    }
    assert runs == {"b200", "h100", "h20", "h200", "h800"}


@pytest.mark.parametrize(
    ("form", "layout"),
    [
        ("int4", SPREAD),
        ("block-fp8", ServingLayout(tp=16, expert_parallel=True)),
        ("block-fp8", ServingLayout(tp=8, dp=2)),
    ],
)
def test_other_formats_and_layouts_have_no_deepep(form: str, layout: ServingLayout) -> None:
    gpu = NODES["h200"].gpu
    assert gpu is not None
    assert not uses_deepep(find_format(form), layout, gpu)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize(("machine", "dispatched"), [("a100", False), ("h200", True)])
def test_the_command_has_deepep_where_it_runs(engine: str, machine: str, dispatched: bool) -> None:
    made = deployed(engine, "k2", machine, "DP32 EP32")
    words = [str(word) for word in made.command(NodePlace())]
    assert any("deepep" in word for word in words) == dispatched
