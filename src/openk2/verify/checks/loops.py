"""Conversations with tools: call, result, answer."""

import json
from typing import Any

from openk2.verify.cases import ERRANDS, TOOLS, MessageJson, result, user
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import Probe, all_of

# As clients write a result: text, parts, nothing.
RESULTS: tuple[Any, ...] = (
    json.dumps({"status": "done", "weather": "Sunny"}),
    [{"type": "text", "text": "Sunny, "}, {"type": "text", "text": "21 degrees"}],
    "",
)


async def tool_loop(probe: Probe) -> CheckOutcome:
    """A call's turn is accepted back with its results, and the model goes on."""
    pairs = zip(ERRANDS, RESULTS, strict=True)
    asked = [(question, content, way) for question, content in pairs for way in (False, True)]
    found = await all_of(loop_fault(probe, *one) for one in asked)
    return judged(
        len(asked),
        [fault for fault in found if fault],
        passed="every loop of call, result and answer ends in an answer",
        remedy="accept the turn as it was sent, content null included, and render the results",
    )


async def loop_fault(probe: Probe, question: str, content: Any, streamed: bool) -> str | None:
    """What is wrong with one loop of a forced call, its results, and a free answer."""
    ask = probe.streamed if streamed else probe.whole
    messages: list[MessageJson] = [user(question)]
    first = await ask(messages, tools=TOOLS, tool_choice="required")
    results = [result(call.id, content) for call in first.calls]
    try:
        answer = await ask([*messages, first.message(), *results], tools=TOOLS)
    except EndpointFault as fault:
        return f"after a result {content!r:.30}: {fault}"
    if content and not (answer.content.strip() or answer.calls):
        return f"after a result {content!r:.30} the answer is empty"
    return None
