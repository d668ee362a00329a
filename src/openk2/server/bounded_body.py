"""`read_json` and `check_body` hold a request's body to `limits` before anything is built from it.

Both stop at the first thing that is wrong. Pydantic would go on to the last and make an error of
each.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from openk2.server.errors import ApiError, field_path
from openk2.server.limits import (
    MAX_BIASES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_ITEMS,
    MAX_MESSAGES,
    MAX_MODEL_CHARACTERS,
    MAX_PARTS,
    MAX_STOP_CHARACTERS,
    MAX_STOPS,
    MAX_TOOLS,
    MAX_VALUES,
)

# How many items a field of the body may have.
MOST_ITEMS: Mapping[str, int] = {
    "messages": MAX_MESSAGES,
    "tools": MAX_TOOLS,
    "stop": MAX_STOPS,
    "stop_sequences": MAX_STOPS,
    "logit_bias": MAX_BIASES,
    "system": MAX_PARTS,
}
MOST_PARTS: Mapping[str, int] = {"content": MAX_PARTS, "tool_calls": MAX_PARTS}
MOST_CHARACTERS: Mapping[str, int] = {
    "model": MAX_MODEL_CHARACTERS,
    "stop": MAX_STOP_CHARACTERS,
    "stop_sequences": MAX_STOP_CHARACTERS,
}
OBJECTS = ("messages", "tools")  # lists of objects
IDS = ("prompt", "tokens")  # lists of token ids, or of such lists


def read_json(body: bytes) -> Any:
    """The body's JSON.

    Raises json.JSONDecodeError for other text, ApiError 400 for too many values and for what else
    cannot be read.
    """
    check_counts(body)
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise refused("the body", f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:  # bytes that are no text, an integer of thousands of digits
        problem = f"cannot be read as JSON: {error}"
        if "integer string conversion" in str(error):
            problem = f"holds a number of more than {MAX_DIGITS} digits"
        raise refused("the body", problem) from error


def check_counts(body: bytes) -> None:
    """Raise ApiError 400 for JSON of too many values, without reading it.

    8 MB of brackets would be some gigabytes of lists, and second after second in which nobody else
    is answered, as the JSON library holds the interpreter's lock. Counting takes milliseconds.
    """
    if len(body) <= MAX_VALUES:
        return
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"")
    texts = bare.count(b'"') // 2
    if texts > 2 * MAX_VALUES:  # a value and its name
        raise refused("the body", f"holds {texts} texts: {2 * MAX_VALUES} are possible")
    outside = b"".join(bare.split(b'"')[::2])
    nests, items = outside.count(b"[") + outside.count(b"{"), outside.count(b",")
    if nests > MAX_VALUES:
        raise refused("the body", f"holds {nests} lists and objects: {MAX_VALUES} are possible")
    if items > MAX_ITEMS:
        raise refused("the body", f"holds {items} items: {MAX_ITEMS} are possible")


def check_body(body: Any) -> None:
    """Raise ApiError 400, with field and limit, for a body beyond a bound.

    What is no object at all, and what has the wrong type in other places, is left to the route.
    """
    if not isinstance(body, dict):
        return
    for field, most in MOST_ITEMS.items():
        check_items(field, body.get(field), most)
    for field, most in MOST_CHARACTERS.items():
        given = body.get(field)
        for index, text in enumerate(given if isinstance(given, list) else [given]):
            if isinstance(text, str) and len(text) > most:
                place = f"{field}[{index}]" if isinstance(given, list) else field
                raise refused(place, f"has {len(text)} characters: {most} are possible")
    for field in OBJECTS:
        items = body.get(field)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if not isinstance(item, dict):
                raise refused(f"{field}[{index}]", "must be an object")
            for part, most in MOST_PARTS.items():
                check_items(f"{field}[{index}].{part}", item.get(part), most)
    check_values(body)


def check_items(place: str, value: Any, most: int) -> None:
    """Raise ApiError 400 for a list or an object of more than `most` items."""
    if isinstance(value, list | dict) and len(value) > most:
        raise refused(place, f"has {len(value)} items: {most} are possible")


def check_values(body: Mapping[str, Any]) -> None:
    """Raise ApiError 400 for too many values, too deep ones, and numbers that are too long."""
    left = MAX_VALUES
    steps: list[str | int] = []  # the place of what is being looked at
    pending: list[Iterator[tuple[str | int, Any]]] = [iter(body.items())]
    while pending:
        step, value = next(pending[-1], ("", pending))
        if value is pending:
            pending.pop()
            del steps[len(pending) - 1 :]
            continue
        steps[len(pending) - 1 :] = [step]
        left -= 1
        if left < 0:
            raise refused(str(steps[0]), f"is too large: a body may hold {MAX_VALUES} values")
        if isinstance(value, list | dict):
            if len(steps) == 1 and step in IDS and isinstance(value, list):
                continue  # the route's own check, which knows the context
            if len(pending) > MAX_DEPTH:
                raise refused(str(steps[0]), f"is nested deeper than {MAX_DEPTH} levels")
            pending.append(iter(value.items() if isinstance(value, dict) else enumerate(value)))
        elif isinstance(value, int | float) and (problem := problem_of(value)):
            raise refused(field_path(steps), problem)


def problem_of(value: float) -> str | None:
    """Why later arithmetic could not hold a number; None if it could."""
    if isinstance(value, int):
        return f"has more than {MAX_DIGITS} digits" if abs(value) >= 10**MAX_DIGITS else None
    return None if math.isfinite(value) else "is no finite number"


def refused(place: str, problem: str) -> ApiError:
    """The 400."""
    if place == "the body":
        return ApiError(400, f"{place} {problem}", code="invalid_value")
    return ApiError(400, f"{place}: {problem}", param=place, code="invalid_value")
