"""Faults in call ids, for the checks of `checks/ids.py`."""

from verify.checks.faults.planting import each_call, guarded, refused


def openai_ids(asked, call, number):
    call["id"] = f"call_{call['function']['name']}_{number}x"


def restarting_ids(asked, call, number):
    call["id"] = f"functions.{call['function']['name']}:{number}"


def history_ids(asked):
    calls = [c for m in asked["messages"] for c in m.get("tool_calls") or ()]
    return [call["id"] for call in calls]


def refuses_foreign(asked):
    known = all(call_id.startswith("functions.") for call_id in history_ids(asked))
    return asked if known else refused()


def copies_foreign(asked, call, number):
    if any(not call_id.startswith("functions.") for call_id in history_ids(asked)):
        call["id"] = f"call_new{number}"


FAULTS = [
    ("call-ids", each_call(openai_ids)),
    ("id-echo", each_call(restarting_ids)),
    ("foreign-ids", {"ask": guarded(refuses_foreign)}),
    ("foreign-ids", each_call(copies_foreign)),
]
