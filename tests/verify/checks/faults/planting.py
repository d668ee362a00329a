"""How a fault reaches into requests and answers; see `Fault` in tests/verify/conftest.py."""

import json
import re

MARKUP = re.compile(r"<\|\w+\|>|\[EOS\]")
JSON = "application/json"


def refused(status=400, **error):
    body = {"message": "no", "type": "invalid_request_error", "param": None, "code": None}
    return status, JSON, json.dumps({"error": {**body, **error}}).encode()


def each_call(change):
    """The fault that changes every call: change(asked, call, number) of whole and first deltas."""

    def whole(asked, answer):
        for number, call in enumerate(answer["choices"][0]["message"].get("tool_calls") or ()):
            change(asked, call, number)

    def stream(asked, chunks):
        number = 0
        for delta in deltas(chunks):
            for call in delta.get("tool_calls") or ():
                if call.get("id"):
                    change(asked, call, number)
                    number += 1

    return {"whole": whole, "stream": stream}


def each_answer(change):
    """The fault of content and reason: change(asked, content, reason) -> both."""

    def whole(asked, answer):
        [choice] = answer["choices"]
        content, choice["finish_reason"] = change(
            asked, choice["message"]["content"] or "", choice["finish_reason"]
        )
        choice["message"]["content"] = content or None

    def stream(asked, chunks):
        texts = [delta for delta in deltas(chunks) if delta.get("content")]
        last = next(choice for choice in choices(chunks) if choice["finish_reason"])
        before = "".join(delta["content"] for delta in texts)
        after, last["finish_reason"] = change(asked, before, last["finish_reason"])
        for delta in texts:
            delta["content"] = ""
        if after:
            next(deltas(chunks))["content"] = after

    return {"whole": whole, "stream": stream}


def each_usage(change):
    """The fault that changes every usage: change(asked, usage)."""

    def stream(asked, chunks):
        for place in (*chunks, *choices(chunks)):
            if place.get("usage"):
                change(asked, place["usage"])

    return {"whole": lambda asked, answer: change(asked, answer["usage"]), "stream": stream}


def choices(chunks):
    return (choice for chunk in chunks for choice in chunk["choices"])


def deltas(chunks):
    return (choice["delta"] for choice in choices(chunks))


def each_message(change):
    """The fault of requests that changes every message: change(message) -> the message."""
    return lambda asked: {**asked, "messages": listed(asked["messages"], change)}


def listed(messages, change):
    """As the list that it should be; what is none stays as it is."""
    return [change(message) for message in messages] if isinstance(messages, list) else messages


def guarded(change):
    """Only of requests whose messages are a list."""
    return lambda asked: change(asked) if isinstance(asked.get("messages"), list) else asked
