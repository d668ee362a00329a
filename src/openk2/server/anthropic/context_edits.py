"""`context_management`: the one edit that prompts of K2 know, and the refusal of all others."""

import reprlib
from collections.abc import Mapping
from typing import Any, Literal

from openk2.server.refusals import invalid, unsupported

CLEAR_THINKING = "clear_thinking_"  # and the date of a version
PLACE = "context_management.edits"
DEFAULT_TURNS = 1  # Anthropic's: the thoughts of the last turn stay


def uncleared_turns(management: Mapping[str, Any] | None) -> int | Literal["all"] | None:
    """Of how many turns the thoughts stay; None if no edit clears any.

    Raises ApiError 400 naming an edit other than clearing thoughts, and a `keep` that is none.
    """
    edits = (management or {}).get("edits") or ()
    if not isinstance(edits, list | tuple):
        raise invalid(PLACE, "is no list: leave it out")
    found: int | Literal["all"] | None = None
    for index, edit in enumerate(edits):
        place = f"{PLACE}[{index}]"
        if not (isinstance(edit, dict) and str(edit.get("type")).startswith(CLEAR_THINKING)):
            raise unsupported(place, edit)
        if found is not None:
            raise invalid(place, "clears thoughts a second time: send one such edit")
        found = kept_turns(edit.get("keep"), place)
    return found


def kept_turns(keep: Any, place: str) -> int | Literal["all"]:
    """`keep` of the edit: "all", or {"type": "thinking_turns", "value": N}."""
    if keep is None:
        return DEFAULT_TURNS
    kind = keep.get("type") if isinstance(keep, dict) else keep
    if kind == "all":
        return "all"
    turns = keep.get("value") if isinstance(keep, dict) and kind == "thinking_turns" else None
    if type(turns) is not int or turns < 1:
        wanted = 'it must be "all" or {"type": "thinking_turns", "value": 1 or more}'
        raise invalid(f"{place}.keep", f"is {reprlib.repr(keep)}: {wanted}")
    return turns
