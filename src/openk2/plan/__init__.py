"""What a training run would cost on N GPUs, before anything runs: memory, messages and time.

`openk2 pretrain RECIPE --dry-run --gpus N` prints it. docs/design/plan.md lists what is assumed.
"""

from openk2.plan.machine import Machine
from openk2.plan.plan import Plan
from openk2.plan.planner import Planner
from openk2.plan.subject import Subject, find_subject
from openk2.plan.table import as_dict, heading, memory_table, time_table

__all__ = [
    "Machine",
    "Plan",
    "Planner",
    "Subject",
    "as_dict",
    "find_subject",
    "heading",
    "memory_table",
    "time_table",
]
