"""Faults in the form of answers and streams, for the checks of `checks/streaming.py`."""

import json

from verify.checks.faults.planting import choices, deltas


def without_role(asked, answer):
    del answer["choices"][0]["message"]["role"]


def call_without_type(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        del call["type"]


def empty_tool_calls(asked, chunks):
    next(deltas(chunks))["tool_calls"] = []


def two_reasons(asked, chunks):
    [last] = [choice for choice in choices(chunks) if choice["finish_reason"]]
    for choice in choices(chunks):
        choice["finish_reason"] = last["finish_reason"]


def not_done(asked, chunks):
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()


def bundled_arguments(asked, chunks):
    """The first delta of a call carries the first piece of its arguments."""
    first = None
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            if call.get("id"):
                first = call
            elif first is not None:
                first["function"]["arguments"] = call["function"]["arguments"]
                call["function"]["arguments"] = ""
                first = None


def repeated_ids(asked, chunks):
    known = {}
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            call["id"] = known.setdefault(call["index"], call.get("id"))


def index_of_conversation(asked, chunks):
    before = sum(len(m.get("tool_calls") or ()) for m in asked["messages"])
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            call["index"] += before


def goes_on_after_reason(asked, chunks):
    [place] = [i for i, c in enumerate(chunks) if any(x["finish_reason"] for x in c["choices"])]
    if place > 1:
        chunks[place - 1]["choices"], chunks[place]["choices"] = (
            chunks[place]["choices"],
            chunks[place - 1]["choices"],
        )


def stream_loses_a_character(asked, chunks):
    for delta in deltas(chunks):
        if asked.get("tools") and delta.get("content"):
            delta["content"] = delta["content"][1:]
            return


def stream_loses_second_call(asked, chunks):
    for delta in deltas(chunks):
        calls = delta.get("tool_calls") or ()
        if calls and calls[0]["index"] > 0:
            del delta["tool_calls"]


FAULTS = [
    ("answer-form", {"whole": without_role}),
    ("answer-form", {"whole": call_without_type}),
    ("stream-form", {"stream": empty_tool_calls}),
    ("stream-form", {"stream": two_reasons}),
    ("stream-form", {"stream": not_done}),
    ("stream-form", {"stream": bundled_arguments}),
    ("stream-form", {"stream": repeated_ids}),
    ("stream-form", {"stream": index_of_conversation}),
    ("stream-form", {"stream": goes_on_after_reason}),
    ("stream-equals-whole", {"stream": stream_loses_a_character}),
    ("stream-equals-whole", {"stream": stream_loses_second_call}),
]
