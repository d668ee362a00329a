"""Is a tool call the reference's? ACEBench's comparison of names and arguments (arXiv 2501.12851).

The rules are the published checker's: text is compared without case, spaces and separators, and may
contain more than the reference; lists are ordered; objects have the same keys; an argument that the
reference lacks is wrong, and so is a missing required one; optional ones may be left out.

Three differences, each towards the paper. The published checker compares no number or boolean that
is an argument by itself: here they must be equal. It finds "5" in "15" and takes "1.5" for "15":
here a number in a text is a whole number. And parallel calls are assigned one to one.
"""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SEPARATORS = re.compile(r"[ ,./\-_*^]")
NUMBER = re.compile(r"\d[\d.]*")  # and versions, dates: one run, so that no text takes long
NEGATIVE = re.compile(r"(?:(?<=\s)|(?<=[(\[=:])|^)-(?=\d)")
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
BETWEEN_DIGITS = re.compile(r"(?<=\d)[ ,./\-_]+(?=\d)")
LONG_NUMBER = 8  # digits: a date, a telephone number
QUOTES = str.maketrans("\u2018\u2019\u201c\u201d'", '""""' + '"')


@dataclass(frozen=True)
class WrittenCall:
    """A call as the model wrote it; arguments: None if they were not a JSON object."""

    name: str
    arguments: Mapping[str, Any] | None


def same_calls(
    calls: Sequence[WrittenCall],
    answer: Mapping[str, Mapping[str, Any]],
    functions: Mapping[str, Mapping[str, Any]],
) -> bool:
    """Whether the calls, in any order, are the answer's: one for each, none left over.

    answer: name -> arguments; of several calls of one function the names end in `_1`, `_2`.
    functions: name -> JSON schema of its parameters.
    """
    wanted = [(called_name(key, functions), arguments) for key, arguments in answer.items()]
    if len(calls) != len(wanted):
        return False
    fits = [
        [n for n, call in enumerate(calls) if fits_reference(call, name, arguments, functions)]
        for name, arguments in wanted
    ]
    return assigned(fits)


def called_name(key: str, functions: Mapping[str, Any]) -> str:
    """The function that a key of an answer calls."""
    return key if key in functions else re.sub(r"_\d+$", "", key)


def assigned(fits: Sequence[Sequence[int]]) -> bool:
    """Whether each can have a call of its own: fits lists the calls that each would take."""
    taken: dict[int, int] = {}

    def place(wanted: int, seen: set[int]) -> bool:
        for call in fits[wanted]:
            if call in seen:
                continue
            seen.add(call)
            if call not in taken or place(taken[call], seen):
                taken[call] = wanted
                return True
        return False

    return all(place(wanted, set()) for wanted in range(len(fits)))


def fits_reference(
    call: WrittenCall,
    name: str,
    reference: Mapping[str, Any],
    functions: Mapping[str, Mapping[str, Any]],
) -> bool:
    """Whether one call is one call of the answer."""
    given = call.arguments
    if call.name != name or given is None or bool(given) != bool(reference):
        return False
    schema = functions.get(name, {})
    declared = schema.get("properties") or {}
    required = [key for key in schema.get("required") or () if key in reference]
    if any(key not in given for key in required) or any(key not in reference for key in given):
        return False
    return all(
        same_argument(value, reference[key], declared.get(key)) for key, value in given.items()
    )


def same_argument(given: Any, reference: Any, schema: Any) -> bool:
    """An argument; a list as the reference of what is declared a single value is alternatives."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    alternatives = kind in ("string", "integer", "number", "float", "boolean")
    if alternatives and isinstance(reference, list) and not isinstance(given, list):
        return any(same_value(given, item) for item in reference)
    return same_value(given, reference)


def same_value(given: Any, reference: Any, whole: bool = False) -> bool:
    """Whether two JSON values are one. whole: text must not hold more than the reference."""
    if isinstance(reference, bool):
        if isinstance(given, str):
            return given.strip().lower() == str(reference).lower()
        return isinstance(given, bool) and given is reference
    if isinstance(reference, int | float):
        number = isinstance(given, int | float) and not isinstance(given, bool)
        return number and same_number(given, reference)
    if isinstance(reference, str):
        return isinstance(given, str) and same_words(given, reference, whole)
    if isinstance(reference, list):
        return (
            isinstance(given, list)
            and len(given) == len(reference)
            and all(same_value(*pair, True) for pair in zip(given, reference, strict=True))
        )
    if isinstance(reference, Mapping):
        return (
            isinstance(given, Mapping)
            and given.keys() == reference.keys()
            and all(same_value(given[key], value) for key, value in reference.items())
        )
    return given is None or (isinstance(given, str) and given.strip().lower() in ("", "none"))


def same_number(given: float, reference: float) -> bool:
    """Equal up to rounding."""
    try:
        return math.isclose(given, reference, rel_tol=1e-9, abs_tol=1e-12)
    except OverflowError:  # an integer above the largest float
        return given == reference


def same_words(given: str, reference: str, whole: bool) -> bool:
    """Equal without case and separators, or (unless whole) the reference is contained in `given`,
    where a number is never a part of another number."""
    text, wanted = plain(given), plain(reference)
    if text == wanted:
        return True
    joined = wanted.replace("|", "")  # 2024-07-15 is 20240715, but 6-8 is not 68
    if text.replace("|", "") == joined and sum(map(str.isdigit, joined)) >= LONG_NUMBER:
        return True
    if whole or not wanted:
        return False
    before = r"(?<!\d)(?<!\dp)(?<!~)" if wanted[0].isdigit() else ""
    after = r"(?!\d|p\d)" if wanted[-1].isdigit() else ""
    return re.search(before + re.escape(wanted) + after, text) is not None


def plain(text: str) -> str:
    """Lower case without separators. 1.50 is `1p5`, -3 is `~3`, and between digits stays a `|`."""
    text = unicodedata.normalize("NFC", text).lower().translate(QUOTES)
    text = THOUSANDS.sub("", text)
    text = NUMBER.sub(lambda found: shortest(found.group()), text)
    text = NEGATIVE.sub("~", text)
    return SEPARATORS.sub("", BETWEEN_DIGITS.sub("|", text))


def shortest(number: str) -> str:
    """`1.50` as `1p5`, `2.0` as `2`; `1.2.3` and the end of a sentence as they are."""
    whole, _, decimals = number.rstrip(".").partition(".")
    if not decimals or "." in decimals:
        return number
    decimals = decimals.rstrip("0")
    return f"{whole}p{decimals}" if decimals else whole
