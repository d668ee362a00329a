"""Faults in Anthropic's Messages, for the checks of `checks/messages.py`."""


def unnamed(events):
    return [("message", data) for _, data in events]


def no_message_stop(events):
    return events[:-1]


def block_left_open(events):
    return [event for event in events if event[0] != "content_block_stop"]


def raw_ids(events):
    for _, data in events:
        block = data.get("content_block", {})
        if "id" in block:
            block["id"] = f"functions.{block['name']}:0"
    return events


def deltas_of_text(events):
    for _, data in events:
        if data.get("delta", {}).get("type") == "input_json_delta":
            data["delta"] = {"type": "text_delta", "text": data["delta"]["partial_json"]}
    return events


def indices_from_one(events):
    for _, data in events:
        if "index" in data:
            data["index"] += 1
    return events


def always_end_turn(events):
    for _, data in events:
        if data["type"] == "message_delta":
            data["delta"]["stop_reason"] = "end_turn"
    return events


FAULTS = [
    ("anthropic-stream", {"messages": unnamed}),
    ("anthropic-stream", {"messages": no_message_stop}),
    ("anthropic-stream", {"messages": block_left_open}),
    ("anthropic-stream", {"messages": raw_ids}),
    ("anthropic-stream", {"messages": deltas_of_text}),
    ("anthropic-stream", {"messages": indices_from_one}),
    ("anthropic-stream", {"messages": always_end_turn}),
]
