"""Faults in the loop of call, result and answer, for the checks of `checks/loops.py`."""

from verify.checks.faults.planting import each_answer, guarded, refused


def refuses_parts(asked):
    tools = [m for m in asked["messages"] if m.get("role") == "tool"]
    return refused(500) if any(isinstance(m["content"], list) for m in tools) else asked


def silent_after_results(asked, content, reason):
    return "" if asked["messages"][-1]["role"] == "tool" else content, reason


FAULTS = [
    ("tool-loop", {"ask": guarded(refuses_parts)}),
    ("tool-loop", each_answer(silent_after_results)),
]
