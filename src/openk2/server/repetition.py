"""The same call again and again: agents that loop are flagged, never blocked.

A model in a loop sends one call verbatim, turn after turn. Only its client can end that, so the
answer has a header, and the loop is counted and logged.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

REPEATED = 3  # turns in a row with the same calls that are flagged
HEADER = "X-Repeated-Tool-Calls"

logger = logging.getLogger(__name__)


def repetition_headers(
    messages: Sequence[Mapping[str, Any]], count: Callable[[], None]
) -> dict[str, str]:
    """The header that says how many turns in a row had the same calls; empty for fewer than
    REPEATED. count: called if there is one.

    Once for each HTTP request, however many answers it asks for.
    """
    turns = repeated_turns(messages)
    if turns < REPEATED:
        return {}
    count()
    if turns == REPEATED:  # not with every further turn
        logger.warning("a conversation repeats its calls verbatim: %d turns in a row", turns)
    return {HEADER: str(turns)}


def repeated_turns(messages: Sequence[Mapping[str, Any]]) -> int:
    """How many turns in a row, up to the last one with calls, had the same calls.

    A turn without calls, or a user's message, ends a run.
    """
    count, calls = 0, None
    for message in reversed(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if role == "tool":
            continue
        found = named_calls(message) if role == "assistant" else None
        if not found or (calls is not None and found != calls):
            break
        count, calls = count + 1, found
    return count


def named_calls(message: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The names and arguments of a turn's calls, as they were sent: comparing them costs less than
    writing them, and a history may hold a hundred thousand."""
    calls = message.get("tool_calls")
    functions = [
        call.get("function")
        for call in (calls if isinstance(calls, list | tuple) else ())
        if isinstance(call, Mapping)
    ]
    return [
        (one.get("name"), one.get("arguments")) for one in functions if isinstance(one, Mapping)
    ]
