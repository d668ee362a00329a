"""The last JSON object of a text that has a field, in or out of a code fence."""

import json
from typing import Any

from openk2.eval.answers.text import MAX_CHARS

TRIES = 200  # opening braces before the field's last mentions; each try reads one object at most
_DECODER = json.JSONDecoder()


def last_object(text: str, field: str) -> dict[str, Any] | None:
    """The last object that parses and has the field; None if there is none.

    Looks at the nearest opening braces before each mention of the field, the last mention first.
    """
    text = text.rpartition("</think>")[2][-MAX_CHARS:]
    tries, mention = TRIES, text.rfind(f'"{field}"')
    while mention >= 0 and tries > 0:
        brace = text.rfind("{", 0, mention)
        for _ in range(8):
            if brace < 0 or tries <= 0:
                break
            tries -= 1
            found = _object_at(text, brace)
            if found is not None and field in found:
                return found
            brace = text.rfind("{", 0, brace)
        mention = text.rfind(f'"{field}"', 0, mention)
    return None


def _object_at(text: str, start: int) -> dict[str, Any] | None:
    try:
        value, _ = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
