"""Faults in the transport of text, for the checks of `checks/text.py`."""

import re

from verify.checks.faults.planting import deltas, each_message, guarded, refused


def broken_characters(asked, answer):
    for call in answer["choices"][0]["message"].get("tool_calls") or ():
        written = call["function"]["arguments"]
        call["function"]["arguments"] = re.sub(r"[^\x00-\x7f]", "\ufffd", written)


def escaped_twice(asked, chunks):
    for delta in deltas(chunks):
        for call in delta.get("tool_calls") or ():
            text = call["function"].get("arguments", "")
            call["function"]["arguments"] = text.replace("\\", "\\\\")


def cut_characters(asked, chunks):
    for delta in deltas(chunks):
        if delta.get("content"):
            delta["content"] += "\ufffd"


def ascii_only(content):
    return None if content.isascii() else refused()


def small_bodies(content):
    return refused(413) if 8_000 < len(content) < 100_000 else None


def cuts_messages(message):
    content = message.get("content")
    long = isinstance(content, str) and 2_000 < len(content) < 100_000
    return {**message, "content": content[:1_000]} if long else message


FAULTS = [
    ("unicode", {"whole": broken_characters}),
    ("unicode", {"stream": escaped_twice}),
    ("unicode stream-equals-whole stop-strings", {"stream": cut_characters}),
    ("unicode", {"raw": ascii_only}),
    ("long-text", {"raw": small_bodies}),
    ("long-text", {"ask": guarded(each_message(cuts_messages))}),
]
