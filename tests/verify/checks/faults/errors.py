"""Faults in refusals, for the checks of `checks/errors.py`."""

from verify.checks.faults.planting import each_message, guarded, refused


def fastapi_errors(asked, answer):
    status, kind, _ = answer
    unknown = asked.get("model") == "no-such-model"
    return (status, kind, b'{"detail": "no"}') if unknown else answer


def status_of_bad_role(asked):
    return refused(500) if asked["messages"][0].get("role") == "narrator" else asked


def overflow_code(asked, answer):
    status, kind, body = answer
    return status, kind, body.replace(b"context_length_exceeded", b"too_long")


def cut_silently(message):
    content = message.get("content")
    huge = isinstance(content, str) and len(content) > 100_000
    return {**message, "content": content[:1_000]} if huge else message


FAULTS = [
    ("error-shape", {"other": fastapi_errors}),
    ("error-shape", {"ask": guarded(status_of_bad_role)}),
    # 10 kB exceed the built-in model's context; a check that is told so takes shorter texts.
    ("context-overflow long-text", {"other": overflow_code}),
    ("context-overflow", {"ask": guarded(each_message(cut_silently))}),
]
