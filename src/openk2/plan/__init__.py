"""What a run would cost, before anything runs: memory, messages and time on so many GPUs.

`openk2 pretrain RECIPE --dry-run --gpus N` shows it. docs/design/plan.md: what is assumed.
"""

from openk2.plan.machine import Machine
from openk2.plan.plan import Plan, Planner

__all__ = ["Machine", "Plan", "Planner"]
