"""How answers end: stop tokens, no special in text, finish reasons, stop strings."""

import re
from typing import Any

from openk2.verify.cases import ERRANDS, SMALL_TALK, TOOLS, user
from openk2.verify.checks.choices import ask_both
from openk2.verify.outcome import CheckOutcome, judged, skipped
from openk2.verify.wire.probe import Probe, all_of
from openk2.verify.wire.reply import Reply

# The specials of K2's vocabulary that an answer could show (chat-format, tokenizer), and the
# singular section marker that models write.
SPECIAL = re.compile(
    r"<\|(?:im_\w+|tool_calls?_\w+|start_header_id|end_header_id|reserved_token_\d+)\|>"
    r"|\[(?:BOS|EOS|EOT|PAD|UNK)\]"
)
LONG_ENOUGH = 512
STOP_LENGTH = 3


async def stop_tokens(probe: Probe) -> CheckOutcome:
    """An answer to small talk ends by itself."""
    replies = await ask_both(probe, SMALL_TALK, max_tokens=LONG_ENOUGH)
    ended = [reply for reply in replies if reply.finish_reason != "length"]
    if ended:
        seen = f"{len(ended)} of {len(replies)} answers to small talk end by themselves."
        return CheckOutcome("pass", f"{len(ended)}/{len(replies)}", seen)
    return judged(
        len(replies),
        [f"no answer to small talk ends within {LONG_ENOUGH} tokens"] * len(replies),
        passed="",
        remedy="stop at <|im_end|> too, not only at the [EOS] that config.json names",
    )


async def special_text(probe: Probe) -> CheckOutcome:
    """The text of no special token leaks into content, names or arguments."""
    replies = await ask_both(probe, SMALL_TALK)
    replies += await ask_both(probe, ERRANDS, tools=TOOLS)
    replies += await ask_both(probe, ERRANDS, tools=TOOLS, tool_choice="none")
    replies += await ask_both(probe, ERRANDS, tools=TOOLS, tool_choice="required")
    leaks = [SPECIAL.search(visible(reply)) for reply in replies]
    return judged(
        len(replies),
        [f"{leak[0]} is in the text of an answer" for leak in leaks if leak],
        passed="no answer shows a special token",
        remedy="parse specials as token ids and skip them when decoding",
    )


def visible(reply: Reply) -> str:
    """All that a client would show or run."""
    calls = [part for call in reply.calls for part in (call.id, call.name, call.arguments)]
    return "\n".join([reply.content, *calls])


async def finish_reason(probe: Probe) -> CheckOutcome:
    """ "tool_calls" if and only if there are calls; "length" at max_tokens; "stop" otherwise."""
    called = await ask_both(probe, ERRANDS, tools=TOOLS, tool_choice="required")
    talked = await ask_both(probe, SMALL_TALK)
    short = await ask_both(probe, SMALL_TALK, max_tokens=1)
    faults = [fault for reply in (*called, *talked, *short) if (fault := wrong_reason(reply))]
    for reply in short:
        if reply.content and reply.finish_reason != "length":
            faults.append(f"cut off by max_tokens 1, finish_reason is {reply.finish_reason!r}")
        elif (tokens := reply.tokens("completion")) not in (None, 1):
            faults.append(f"max_tokens 1 gave {tokens} tokens")
    return judged(
        len(called) + len(talked) + len(short),
        faults,
        passed="every finish_reason is right",
        remedy='"tool_calls" with calls, "length" at max_tokens, "stop" otherwise',
    )


def wrong_reason(reply: Reply) -> str | None:
    """A line if the reason contradicts the calls."""
    if bool(reply.calls) == (reply.finish_reason == "tool_calls"):
        return None
    if reply.calls and reply.finish_reason == "length":
        return None  # the section was cut off
    return f"finish_reason is {reply.finish_reason!r} with {len(reply.calls)} calls"


async def stop_strings(probe: Probe) -> CheckOutcome:
    """An answer ends before a string of `stop`, whole and streamed, with finish_reason "stop"."""
    bases = await all_of(probe.whole([user(question)]) for question in SMALL_TALK)
    asked = [
        (question, base.content, cut)
        for question, base in zip(SMALL_TALK, bases, strict=True)
        if (cut := inner_string(base.content))
    ]
    if not asked:
        return skipped("no answer to small talk is long enough to choose a stop string from")
    found = await all_of(stop_faults(probe, *one) for one in asked)
    return judged(
        2 * len(asked),
        [fault for faults in found for fault in faults],
        passed="answers end before their stop string",
        remedy="search the text for `stop`, hold back what could begin one, and cut before it",
    )


def inner_string(content: str) -> str | None:
    """A piece of an answer from near its middle; None if the answer is too short."""
    middle = len(content) // 2
    piece = content[middle : middle + STOP_LENGTH]
    return piece if middle and len(piece) == STOP_LENGTH else None


async def stop_faults(probe: Probe, question: str, base: str, cut: str) -> list[str]:
    """What is wrong with answers that must end before `cut`. base: the answer without `stop`."""
    messages: list[Any] = [user(question)]
    replies = await probe.both(messages, stop=[cut])
    wanted = base[: base.index(cut)]
    # If answers differ from one request to the next, they cannot be compared with this one.
    steady = (await probe.whole(messages)).content == base
    faults = []
    for reply in replies:
        if cut in reply.content:
            faults.append(f"the stop string {cut!r} is in the answer")
        elif steady and reply.content != wanted:
            faults.append(f"before stop {cut!r} came {reply.content!r:.80}, not {wanted!r:.80}")
        elif steady and reply.finish_reason != "stop":
            faults.append(f"after a stop string finish_reason is {reply.finish_reason!r}")
    return faults
