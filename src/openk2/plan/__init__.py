"""What a training run costs on N GPUs, and whether a network can be served on some: before it runs.

`openk2 pretrain RECIPE --dry-run --gpus N` prints the first (docs/design/plan.md), `openk2 plan
serve` the second (docs/design/serving.md). The first needs torch, which is imported when a name of
it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openk2.plan.serving import (
    PlannedLayout,
    ServedSubject,
    ServingDemand,
    ServingError,
    ServingLayout,
    ServingNode,
    ServingPlan,
    ServingWork,
    decoded,
    find_engine,
    find_node,
    find_served,
    fitting_table,
    impossible_table,
    plan_serving,
    serving_dict,
    serving_heading,
    serving_page,
    serving_verdict,
    this_node,
    uses_deepep,
)

if TYPE_CHECKING:
    from openk2.plan.machine import Machine
    from openk2.plan.measured_machine import measured
    from openk2.plan.plan import Plan
    from openk2.plan.planner import Planner
    from openk2.plan.subject import Subject, find_subject
    from openk2.plan.table import as_dict, heading, memory_table, time_table, verdict

LATER = {
    "machine": ("Machine",),
    "measured_machine": ("measured",),
    "plan": ("Plan",),
    "planner": ("Planner",),
    "subject": ("Subject", "find_subject"),
    "table": ("as_dict", "heading", "memory_table", "time_table", "verdict"),
}

__all__ = [
    "Machine",
    "Plan",
    "PlannedLayout",
    "Planner",
    "ServedSubject",
    "ServingDemand",
    "ServingError",
    "ServingLayout",
    "ServingNode",
    "ServingPlan",
    "ServingWork",
    "Subject",
    "as_dict",
    "decoded",
    "find_engine",
    "find_node",
    "find_served",
    "find_subject",
    "fitting_table",
    "heading",
    "impossible_table",
    "measured",
    "memory_table",
    "plan_serving",
    "serving_dict",
    "serving_heading",
    "serving_page",
    "serving_verdict",
    "this_node",
    "time_table",
    "uses_deepep",
    "verdict",
]


def __getattr__(name: str) -> Any:
    """A name of LATER, imported now."""
    for module, names in LATER.items():
        if name in names:
            return getattr(import_module(f"openk2.plan.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
