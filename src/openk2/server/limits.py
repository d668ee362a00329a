"""Every bound of a request's body, and `check_body`, which holds a body against them.

It runs before anything is built of the body, and stops at the first thing that is wrong: pydantic
would go on to the last, and make an error of each. What a prompt's text may be long is known
where the model's context is: `generation.refuse_too_long`.
"""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from openk2.server.errors import ApiError, field_path

# A full context of 131,072 tokens is some 0.5 MB of text, six times that in JSON's escapes. More
# would only stall the answers in flight: JSON is read at some 100 MB/s, on the event loop.
MAX_BODY_BYTES = 8 * 1024 * 1024
# Lists, objects, texts and numbers of a body, token ids excepted.
MAX_VALUES = 200_000
# Of lists in lists; what is read by recursion has Python's 1,000 frames for it.
MAX_DEPTH = 100
MAX_DIGITS = 40
MAX_MESSAGES = 10_000
MAX_TOOLS = 1_024
MAX_PARTS = 10_000  # of a message: content parts, blocks, calls
MAX_CHOICES = 128
MAX_ANSWERS = 512  # prompts times choices
MAX_STOPS = 16
MAX_STOP_CHARACTERS = 1_000
MAX_BIASES = 1_024
MAX_MODEL_CHARACTERS = 1_000

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
    """The body's JSON. Raises json.JSONDecodeError, ApiError 400 for what else cannot be read."""
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        raise
    except RecursionError as error:
        raise refused("the body", f"is nested deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:  # bytes that are no text, an integer of thousands of digits
        problem = str(error)
        if "integer string conversion" in problem:
            problem = f"holds a number of more than {MAX_DIGITS} digits"
        raise refused("the body", f"cannot be read as JSON: {problem}") from error


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
