"""Tool-call ids: their form, their counter, and ids that clients send back."""

import re
from collections.abc import Iterator

from openk2.chat import call_id
from openk2.verify.cases import ERRANDS, TOOLS, MessageJson, result, user, weather_history
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply, ReplyCall

CANONICAL = re.compile(r"functions\..+:\d+")
COUNTER = re.compile(r":(\d+)$")
TURNS = 3
FOREIGN = {
    "OpenAI's": ["call_9f3aPq", "call_0ZkLm2"],
    "Anthropic's": ["toolu_01A09q90qw90lq", "toolu_01B77k3vb"],
    "UUIDs": ["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "9b2d6a44-0c1e-4e2a-8b11-5a1f0c9d7e21"],
    "of another prefix": ["get_weather:0", "get_weather:1"],
    "restarting": ["functions.get_weather:0", "functions.get_weather:0"],
}


async def call_ids(probe: Probe) -> CheckOutcome:
    """The ids of a first answer are functions.NAME:IDX, IDX from 0."""
    pairs = await all_of(
        probe.both([user(q)], tools=TOOLS, tool_choice="required") for q in ERRANDS
    )
    replies = [reply for pair in pairs for reply in pair]
    faults = [fault for reply in replies for fault in id_faults(reply)]
    return judged(
        sum(len(reply.calls) for reply in replies),
        faults,
        passed="every id is functions.NAME:IDX",
        remedy="hand out K2's own ids; others in the history make it go silent",
    )


def id_faults(reply: Reply) -> Iterator[str]:
    """Ids that are not canonical for an answer to a history without calls."""
    for number, call in enumerate(reply.calls):
        wanted = call_id(call.name, number)
        if call.id != wanted:
            yield f"an id is {call.id!r}, not {wanted!r}"


async def id_echo(probe: Probe) -> CheckOutcome:
    """Ids that are sent back are accepted, and the counter continues over the conversation."""
    judged_ids, faults = 0, []
    for streamed in (False, True):
        count, found = await echoed(probe, streamed)
        judged_ids += count
        faults += found
    return judged(
        judged_ids,
        faults,
        passed=f"the counter goes on over {TURNS} turns",
        remedy="count all calls of the conversation, not those of the answer",
    )


async def echoed(probe: Probe, streamed: bool) -> tuple[int, list[str]]:
    """How many ids a conversation of forced calls had, and what was wrong with their numbers."""
    messages: list[MessageJson] = [user(ERRANDS[0])]
    calls: list[ReplyCall] = []
    faults: list[str] = []
    ask = probe.streamed if streamed else probe.whole
    for turn in range(TURNS):
        try:
            reply = await ask(messages, tools=TOOLS, tool_choice="required")
        except EndpointFault as fault:
            return max(len(calls), 1), [*faults, f"in turn {turn + 1}, {fault}"]
        for call in reply.calls:
            number = COUNTER.search(call.id)
            if number and int(number[1]) != len(calls):
                faults.append(f"call {len(calls)} of the conversation has id {call.id!r}")
            calls.append(call)
        messages += [reply.message(), *(result(call.id, "Done.") for call in reply.calls)]
        messages.append(user("Once more, please."))
    return len(calls), faults


async def foreign_ids(probe: Probe) -> CheckOutcome:
    """Foreign ids in the history are accepted, and new ids do not imitate them."""
    fresh = await probe.whole([user(ERRANDS[0])], tools=TOOLS, tool_choice="required")
    canonical = all(CANONICAL.fullmatch(call.id) for call in fresh.calls)
    found = await all_of(
        foreign_fault(probe, make, ids, canonical) for make, ids in FOREIGN.items()
    )
    return judged(
        len(FOREIGN),
        [fault for fault in found if fault],
        passed=f"{', '.join(FOREIGN)}: all accepted",
        remedy="rename the ids of the history to functions.NAME:IDX before rendering",
    )


async def foreign_fault(probe: Probe, make: str, ids: list[str], canonical: bool) -> str | None:
    """What is wrong after such a history. canonical: whether new ids are K2's otherwise."""
    history = weather_history(ids)
    try:
        reply = await probe.whole(history, tools=TOOLS, tool_choice="required")
    except EndpointFault as fault:
        return f"ids {make}: {fault}"
    copied = [c.id for c in reply.calls if canonical and not CANONICAL.fullmatch(c.id)]
    return f"after ids {make} a new one is {copied[0]!r}" if copied else None
