"""Faults in how answers end, for the checks of `checks/ending.py`."""

from verify.checks.faults.planting import each_answer


def plain_talk(asked):
    return not asked.get("tools") and "stop" not in asked and asked["max_tokens"] > 1


def rambles(asked, content, reason):
    return (content + " and so on", "length") if plain_talk(asked) else (content, reason)


def leaks_the_end(asked, content, reason):
    leaking = content and plain_talk(asked)
    return (content + "<|im_end|>" if leaking else content), reason


def calls_that_stop(asked, content, reason):
    return content, "stop" if reason == "tool_calls" else reason


def cut_that_stops(asked, content, reason):
    return content, "stop" if reason == "length" and asked["max_tokens"] == 1 else reason


def without_stop(asked):
    return {k: v for k, v in asked.items() if k != "stop"}


def keeps_the_stop_string(asked, content, reason):
    return content + "".join(asked.get("stop", ())), reason


FAULTS = [
    ("stop-tokens", each_answer(rambles)),
    ("special-text", each_answer(leaks_the_end)),
    ("finish-reason", each_answer(calls_that_stop)),
    ("finish-reason", each_answer(cut_that_stops)),
    ("stop-strings", {"ask": without_stop}),
    ("stop-strings", each_answer(keeps_the_stop_string)),
]
