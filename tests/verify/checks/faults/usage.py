"""Faults in token counts, for the checks of `checks/usage.py`."""

from verify.checks.faults.planting import each_usage


def without_usage_chunk(asked, chunks):
    return [chunk for chunk in chunks if chunk["choices"]]


def wrong_total(asked, usage):
    usage["total_tokens"] += 1


def usage_beside_choices(asked, chunks):
    chunks[-1]["choices"] = [{"index": 0, "delta": {}, "finish_reason": None}]


FAULTS = [
    ("usage", {"stream": without_usage_chunk}),
    ("usage", each_usage(wrong_total)),
    ("usage", {"stream": usage_beside_choices}),
]
