"""Will a network fit on given GPUs to be served, how, how fast and at what price? No torch.

`openk2 plan serve` prints it. docs/design/serving.md lists the sources and what is assumed.
"""

from openk2.plan.serving.error import ServingError
from openk2.plan.serving.layout import ServingLayout
from openk2.plan.serving.machine import ServingNode, find_engine, find_node
from openk2.plan.serving.memory import uses_deepep
from openk2.plan.serving.page import serving_page
from openk2.plan.serving.plan import ServingPlan, decoded, plan_serving
from openk2.plan.serving.planned import PlannedLayout
from openk2.plan.serving.planner import ServingDemand
from openk2.plan.serving.report import (
    fitting_table,
    impossible_table,
    serving_dict,
    serving_heading,
    serving_verdict,
)
from openk2.plan.serving.source import ServedSubject, find_served
from openk2.plan.serving.speed import ServingWork
from openk2.plan.serving.this_machine import this_node

__all__ = [
    "PlannedLayout",
    "ServedSubject",
    "ServingDemand",
    "ServingError",
    "ServingLayout",
    "ServingNode",
    "ServingPlan",
    "ServingWork",
    "decoded",
    "find_engine",
    "find_node",
    "find_served",
    "fitting_table",
    "impossible_table",
    "plan_serving",
    "serving_dict",
    "serving_heading",
    "serving_page",
    "serving_verdict",
    "this_node",
    "uses_deepep",
]
