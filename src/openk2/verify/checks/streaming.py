"""The form of answers, and that a stream says what the whole answer says."""

from typing import Any

from openk2.verify.cases import ERRANDS, SMALL_TALK, TOOLS, user, weather_history
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply


def kinds_of_request() -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """Requests for text, for optional and forced calls, and for calls after others."""
    return [
        *(([user(question)], {}) for question in SMALL_TALK),
        *(([user(question)], {"tools": TOOLS}) for question in ERRANDS),
        *(([user(q)], {"tools": TOOLS, "tool_choice": "required"}) for q in ERRANDS),
        (weather_history(), {"tools": TOOLS, "tool_choice": "required"}),
        ([user(ERRANDS[0])], {"tools": TOOLS, "tool_choice": "none"}),
    ]


async def answer_form(probe: Probe) -> CheckOutcome:
    """Whole answers have OpenAI's form."""
    asked = kinds_of_request()
    replies = await all_of(probe.whole(messages, **fields) for messages, fields in asked)
    return form_outcome(replies, "every answer has OpenAI's form", "OpenAI's chat completion")


async def stream_form(probe: Probe) -> CheckOutcome:
    """Streams have OpenAI's form: first and later deltas, one finish_reason, [DONE]."""
    asked = kinds_of_request()
    replies = await all_of(probe.streamed(messages, **fields) for messages, fields in asked)
    return form_outcome(replies, "every stream has OpenAI's form", "OpenAI's chunks")


def form_outcome(replies: list[Reply], passed: str, wanted: str) -> CheckOutcome:
    """At most one fault per reply."""
    faults = [reply.faults[0] for reply in replies if reply.faults]
    return judged(len(replies), faults, passed=passed, remedy=f"clients need {wanted} exactly")


async def stream_equals_whole(probe: Probe) -> CheckOutcome:
    """At temperature 0, content, calls and finish reason are the same either way."""
    asked = kinds_of_request()
    differences = await all_of(difference(probe, *one) for one in asked)
    judgeable = [found for found in differences if found is not None]
    if not judgeable:
        return skipped("the endpoint's own answers differ from one time to the next")
    left_out = len(asked) - len(judgeable)
    note = f"; {left_out} answers are not reproducible and were left out" if left_out else ""
    return judged(
        len(judgeable),
        [found for found in judgeable if found],
        passed=f"streams say what whole answers say{note}",
        remedy="let one parser make both",
    )


async def difference(
    probe: Probe, messages: list[dict[str, Any]], fields: dict[str, Any]
) -> str | None:
    """What differs; empty if nothing does, None if an answer is not the same twice."""
    whole, streamed = await probe.both(messages, **fields)
    if whole.said == streamed.said:
        return ""
    again = await probe.both(messages, **fields)
    if (whole.said, streamed.said) != (again[0].said, again[1].said):
        return None
    names = ("content", "calls", "finish_reason")
    for name, one, other in zip(names, whole.said, streamed.said, strict=True):
        if one != other:
            return f"{name} of the whole answer is {one!r:.120}, of the stream {other!r:.120}"
    raise AssertionError("replies that differ have a part that differs")
