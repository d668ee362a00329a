"""tool_choice and parallel_tool_calls: every choice is obeyed, and invalid ones are refused."""

from collections.abc import Sequence
from typing import Any

from openk2.verify.cases import ERRANDS, SMALL_TALK, TOOLS, user
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.endpoint import shown
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply

NAMES = [tool["function"]["name"] for tool in TOOLS]


def named(name: str) -> dict[str, Any]:
    """The tool_choice of one tool."""
    return {"type": "function", "function": {"name": name}}


async def ask_both(probe: Probe, questions: Sequence[str], **fields: Any) -> list[Reply]:
    """Replies to each question, whole and streamed."""
    pairs = await all_of(probe.both([user(question)], **fields) for question in questions)
    return [reply for pair in pairs for reply in pair]


async def required(probe: Probe) -> CheckOutcome:
    """tool_choice "required" gives a call of a declared tool, also where none is wanted."""
    replies = await ask_both(probe, SMALL_TALK, tools=TOOLS, tool_choice="required")
    faults = []
    for reply in replies:
        if not reply.calls:
            faults.append(f'"required" gave no call, but {shown(reply.content)}')
        faults += undeclared(reply)
    return judged(
        len(replies),
        faults,
        passed="every answer calls a declared tool",
        remedy="force the tool section while decoding",
    )


async def named_tool(probe: Probe) -> CheckOutcome:
    """A named tool_choice gives a call of that tool and of no other."""
    asked = [(question, name) for question in (*SMALL_TALK[:1], ERRANDS[0]) for name in NAMES]
    pairs = await all_of(
        probe.both([user(question)], tools=TOOLS, tool_choice=named(name))
        for question, name in asked
    )
    faults = []
    for (_, name), pair in zip(asked, pairs, strict=True):
        for reply in pair:
            called = {call.name for call in reply.calls}
            if called != {name}:
                faults.append(f"the named tool is {name}, called: {sorted(called) or 'none'}")
    return judged(
        2 * len(asked),
        faults,
        passed="every answer calls the named tool alone",
        remedy="force the section and the name while decoding",
    )


async def none(probe: Probe) -> CheckOutcome:
    """tool_choice "none" gives text, also where a call is wanted; none without tools works."""
    replies = await ask_both(probe, ERRANDS, tools=TOOLS, tool_choice="none")
    replies += await ask_both(probe, SMALL_TALK[:1], tool_choice="none")
    faults = [f'"none" gave a call of {reply.calls[0].name}' for reply in replies if reply.calls]
    return judged(
        len(replies),
        faults,
        passed="no answer calls a tool",
        remedy="declare no tools to the model, or forbid the section",
    )


async def auto(probe: Probe) -> CheckOutcome:
    """ "auto" calls declared tools or none, is the default, and works without tools."""
    replies = await ask_both(probe, ERRANDS, tools=TOOLS, tool_choice="auto")
    default = await ask_both(probe, ERRANDS, tools=TOOLS)
    bare = await ask_both(probe, SMALL_TALK[:1], tool_choice="auto")
    faults = [fault for reply in (*replies, *default) for fault in undeclared(reply)]
    faults += ["a call where no tool is declared" for reply in bare if reply.calls]
    for explicit, implied in zip(replies, default, strict=True):
        if bool(explicit.calls) != bool(implied.calls):
            faults.append('without tool_choice the decision to call is not that of "auto"')
    return judged(
        len(replies) + len(default) + len(bare),
        faults,
        passed="answers call declared tools or none",
        remedy='constrain the name of a call to the declared tools, and take "auto" as default',
    )


def undeclared(reply: Reply) -> list[str]:
    """A line for each call of a tool that was not declared."""
    return [
        f"a call of {c.name!r}, which is not declared" for c in reply.calls if c.name not in NAMES
    ]


async def single_call(probe: Probe) -> CheckOutcome:
    """parallel_tool_calls false gives one call at most."""
    fields: dict[str, Any] = {"tools": TOOLS, "parallel_tool_calls": False}
    replies = await ask_both(probe, ERRANDS, tool_choice="required", **fields)
    replies += await ask_both(probe, ERRANDS, tool_choice="auto", **fields)
    faults = [f"{len(r.calls)} calls in one answer" for r in replies if len(r.calls) > 1]
    return judged(
        len(replies),
        faults,
        passed="no answer has a second call",
        remedy="end the section after its first call if parallel_tool_calls is false",
    )


INVALID_CHOICES: tuple[tuple[str, dict[str, Any]], ...] = (
    ('"required" without tools', {"tool_choice": "required"}),
    ('"required" with an empty list of tools', {"tool_choice": "required", "tools": []}),
    ("an unknown word", {"tool_choice": "sometimes", "tools": TOOLS}),
    ("a number", {"tool_choice": 7, "tools": TOOLS}),
    ("an object without a name", {"tool_choice": {"type": "function"}, "tools": TOOLS}),
    ("a tool that is not declared", {"tool_choice": named("no_such_tool"), "tools": TOOLS}),
)


async def invalid_choice(probe: Probe) -> CheckOutcome:
    """A tool_choice that cannot be obeyed is refused with a 400."""
    responses = await all_of(probe.raw([user("Hello!")], **fields) for _, fields in INVALID_CHOICES)
    faults = [
        f"tool_choice: {what} got {response.status}"
        for (what, _), response in zip(INVALID_CHOICES, responses, strict=True)
        if response.status != 400
    ]
    return judged(
        len(responses),
        faults,
        passed="every such request is refused",
        remedy="answer 400 and name tool_choice",
    )
