"""Anthropic's Messages, where the endpoint has them."""

from typing import Any

from openk2.verify.cases import ERRANDS, SMALL_TALK, TOOLS
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.wire.endpoint import EndpointFault, Response
from openk2.verify.wire.events import read_events
from openk2.verify.wire.message_events import message_faults, tool_id_faults
from openk2.verify.wire.probe import Probe, accepted, all_of

MESSAGES = "/messages"
ABSENT = (404, 405, 501)
TOOL_USE = [
    {
        "name": tool["function"]["name"],
        "description": tool["function"]["description"],
        "input_schema": tool["function"]["parameters"],
    }
    for tool in TOOLS
]
FORCED: dict[str, Any] = {"tools": TOOL_USE, "tool_choice": {"type": "any"}}


def message_body(probe: Probe, question: str, **fields: Any) -> dict[str, Any]:
    """A request of Messages."""
    said = [{"role": "user", "content": question}]
    settings = {"model": probe.model, "max_tokens": 256, "temperature": 0}
    return {**settings, "messages": said, **fields}


async def anthropic_stream(probe: Probe) -> CheckOutcome:
    """/v1/messages streams its events in Anthropic's order; ids and stop reasons are right."""
    probing = await probe.endpoint.post(MESSAGES, message_body(probe, SMALL_TALK[0]))
    if probing.status in ABSENT:
        return skipped(f"the endpoint has no /v1/messages (it answered {probing.status})")
    asked = [
        *(message_body(probe, question) for question in SMALL_TALK),
        *(message_body(probe, question, tools=TOOL_USE) for question in ERRANDS),
        *(message_body(probe, question, **FORCED) for question in ERRANDS),
        message_body(probe, SMALL_TALK[0], max_tokens=1),
    ]
    streams = await all_of(probe.endpoint.post(MESSAGES, {**b, "stream": True}) for b in asked)
    wholes = await all_of(probe.endpoint.post(MESSAGES, body) for body in asked)
    found = [next(iter(stream_problems(response)), None) for response in streams]
    found += [next(iter(whole_problems(response)), None) for response in wholes]
    return judged(
        len(found),
        [fault for fault in found if fault],
        passed="every stream has Anthropic's order",
        remedy="open one block at a time and name each event by its type",
    )


def stream_problems(response: Response) -> list[str]:
    """What is wrong with a streamed message."""
    try:
        return list(message_faults(read_events(accepted(response))))
    except EndpointFault as fault:
        return [str(fault)]
    except (AttributeError, TypeError) as error:
        return [f"a streamed message has not Anthropic's form: {error!r}"]


def whole_problems(response: Response) -> list[str]:
    """What is wrong with a whole message."""
    try:
        message = accepted(response).json()
        faults = [fault for block in message["content"] for fault in tool_id_faults(block)]
        calls = [block for block in message["content"] if block["type"] == "tool_use"]
        if any(not isinstance(block["input"], dict) for block in calls):
            faults.append("the input of a tool_use block is no object")
        if calls and message["stop_reason"] not in ("tool_use", "max_tokens"):
            faults.append(f"stop_reason is {message['stop_reason']!r} with a tool_use block")
    except EndpointFault as fault:
        return [str(fault)]
    except (AttributeError, KeyError, TypeError) as error:
        return [f"a whole message has not Anthropic's form: {error!r}"]
    return faults
