"""Faults in calls and their arguments, for the checks of `checks/calling.py`."""

from verify.checks.faults.planting import deltas


def never_calls(asked):
    auto = asked.get("tools") and asked.get("tool_choice", "auto") == "auto"
    return {**asked, "tool_choice": "none"} if auto and asked["max_tokens"] > 1 else asked


def wrong_arguments(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        if call["function"]["name"] == "fill_form":
            call["function"]["arguments"] = '{"other": 1}'


def not_json(asked, chunks):
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            if call.get("id") is None and asked["tools"][0]["function"]["name"] == "fill_form":
                call["function"]["arguments"] += ","


FAULTS = [
    ("trigger", {"ask": never_calls}),
    ("schema", {"whole": wrong_arguments}),
    ("schema", {"stream": not_json}),
]
