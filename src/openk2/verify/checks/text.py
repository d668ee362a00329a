"""Unicode and long texts, in the history and in arguments."""

import json
from typing import Any

from openk2.chat import read_json
from openk2.verify.cases import TOOLS, MessageJson, called, result, user, with_schema
from openk2.verify.outcome import CheckOutcome, judged
from openk2.verify.wire.endpoint import EndpointFault
from openk2.verify.wire.probe import CHAT, Probe, accepted, all_of
from openk2.verify.wire.reply import Reply, read_stream, read_whole

TEXTS = (
    "北京的天气怎么样？",
    "🌧️👩‍👩‍👧",
    """quotes " \\ ' ` <b>&amp;</b> and {"json": "inside \\" it"}""",
    "líneas\nand\ttabs\r\nnext\u2028line",
    "مرحبا שלום e\u0301\u200b",
)
LONG = 10_000
SHORTEST = 600
SENTENCE = "The river was wide and the water was cold in the morning. "
LONG_ARGUMENT = 300


async def unicode(probe: Probe) -> CheckOutcome:
    """Text of every script goes in and comes out unbroken, in arguments too."""
    accepted_faults = await all_of(history_fault(probe, text) for text in TEXTS)
    copied = await all_of(copy_faults(probe, text) for text in TEXTS)
    return judged(
        3 * len(TEXTS),
        [fault for fault in accepted_faults if fault] + [f for faults in copied for f in faults],
        passed="text of all scripts is accepted and returned unbroken",
        remedy="decode only whole characters, and escape JSON once",
    )


async def history_fault(probe: Probe, text: str) -> str | None:
    """What is wrong with answers to a history that holds the text in every place.

    A small model may itself write half a character, which both forms then show as U+FFFD; a server
    that breaks one shows it in one of them.
    """
    messages = history_with(text, text, text)
    body = probe.body(messages, tools=TOOLS)
    # As UTF-8, not escaped: other checks send ASCII.
    written = json.dumps(body, ensure_ascii=False).encode()
    streamed = json.dumps({**body, "stream": True}, ensure_ascii=False).encode()
    try:
        sent = await all_of(probe.endpoint.post(CHAT, body) for body in (written, streamed))
        replies = (read_whole(accepted(sent[0])), read_stream(accepted(sent[1])))
    except EndpointFault as fault:
        return f"with {text!r:.40} in the history: {fault}"
    broken = {"\ufffd" in reply.content for reply in replies}
    if len(broken) > 1:
        return f"with {text!r:.40} in the history one form of the answer has broken characters"
    return None


async def copy_faults(probe: Probe, text: str) -> list[str]:
    """What is wrong with calls whose only valid argument is the text, whole and streamed."""
    replies = await probe.both([user(f"Repeat: {text}")], **only_argument(text))
    return [fault for reply in replies for fault in argument_faults(reply, text)]


def only_argument(text: str) -> dict[str, Any]:
    """The fields of a request whose one valid call has this argument."""
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string", "enum": [text]}},
        "required": ["text"],
        "additionalProperties": False,
    }
    tool = with_schema("repeat", "Repeat a text exactly.", schema, strict=True)
    return {"tools": [tool], "tool_choice": "required", "max_tokens": 600}


def argument_faults(reply: Reply, text: str) -> list[str]:
    """What is wrong with the arguments of calls that can only say the text."""
    faults = []
    for call in reply.calls:
        try:
            said = read_json(call.arguments)
        except ValueError:
            faults.append(f"arguments are not JSON: {call.arguments!r:.80}")
            continue
        if said != {"text": text}:
            faults.append(f"{text!r:.40} came back as {call.arguments!r:.80}")
    return faults


def history_with(said: str, argument: str, returned: str) -> list[MessageJson]:
    """A conversation with these texts as question, argument and result."""
    identity = "functions.translate_text:0"
    call = called("translate_text", identity, {"text": argument, "language": "fr"})
    return [
        {"role": "system", "content": "Be brief."},
        user(said),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        result(identity, returned),
    ]


async def long_text(probe: Probe) -> CheckOutcome:
    """10 kB in a question, in arguments or in a result are taken whole; long arguments come out."""
    places = (("a question", 0), ("arguments", 1), ("a result", 2))
    short = await probe.prompt_tokens(history_with("", "", ""), TOOLS)
    found = await all_of(long_fault(probe, name, place, short) for name, place in places)
    long_argument = (SENTENCE * LONG)[:LONG_ARGUMENT]
    copied = await copy_faults(probe, long_argument)
    return judged(
        len(places) + 2,
        [fault for fault in found if fault] + copied,
        passed="long texts are accepted and returned whole",
        remedy="lift limits on the size of messages and of arguments",
    )


async def long_fault(probe: Probe, name: str, place: int, short: int) -> str | None:
    """What is wrong with a long text in this place of the history. short: tokens without it.

    The text is halved while the endpoint reports that its context is too small: a small context is
    not a fault.
    """
    size = LONG
    while True:
        texts = ["", "", ""]
        texts[place] = (SENTENCE * size)[:size]
        response = await probe.raw(history_with(*texts), tools=TOOLS, max_tokens=1)
        too_long = response.status == 400 and "context_length_exceeded" in response.text
        if not too_long or size // 2 < SHORTEST:
            break
        size //= 2
    try:
        reply = read_whole(accepted(response))
    except EndpointFault as fault:
        return f"{size} characters in {name}: {fault}"
    added = (reply.tokens("prompt") or 0) - short
    # No vocabulary has tokens of 20 characters for such sentences.
    if added < size // 20:
        return f"{size} characters in {name} add {added} tokens to the prompt: they were cut"
    return None
