"""Whether a text says a value, as it is written or as people say dates, times and small numbers."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
_TIME = re.compile(r"(\d\d?):(\d\d)")
_FIRST_OF_SEVERAL = re.compile(r"([^\W_]{3,}).*[\s,]")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth",
)  # fmt: skip
# Their day depends on when they are said.
_RELATIVE = "today|tonight|tomorrow|this (?:morning|afternoon|evening)"


def is_said(value: Any, text: str) -> bool:
    """Whether a text in lower case says a value, in words of their own.

    value: a string, number or boolean; of a list the first item counts. Of several words the first
    is enough, if it has three letters and is not "the". A date (`2019-03-05`) is also said by its
    day, by its weekday, or by "today" and the like, which are taken on trust; a time (`17:30`) also
    by its hour in digits or words; a number to twenty also by its name.
    """
    value = value[0] if isinstance(value, list) and value else value
    edge = r"[^\W_]"
    said = "|".join(f"(?:{form})" for form in _forms(str(value).lower()))
    return bool(re.search(rf"(?<!{edge})(?:{said})(?!{edge})", text))


def _forms(value: str) -> Iterator[str]:
    """Patterns that say a value."""
    yield re.escape(value)
    if found := _DATE.fullmatch(value):
        yield from _date_forms(*map(int, found.groups()))
    elif found := _TIME.fullmatch(value):
        yield from _time_forms(*map(int, found.groups()))
    elif re.fullmatch(r"1?\d|20", value):
        yield _NUMBERS[int(value)]
    elif (found := _FIRST_OF_SEVERAL.match(value)) and found[1] != "the":
        yield found[1]


def _date_forms(year: int, month: int, day: int) -> Iterator[str]:
    try:
        yield _DAYS[date(year, month, day).weekday()]
    except ValueError:
        return
    name = rf"(?:{_MONTHS[month - 1]}|{_MONTHS[month - 1][:3]}\.?)"
    yield rf"{day}(?:st|nd|rd|th)|{name} 0?{day}|0?{day} (?:of )?{name}|0?{month}/0?{day}"
    if day <= len(_ORDINALS):
        yield _ORDINALS[day - 1]
    yield _RELATIVE


def _time_forms(hour: int, minute: int) -> Iterator[str]:
    for each in {hour, hour % 12 or 12}:
        spoken = f"(?:0?{each}|{_NUMBERS[each]})" if each < len(_NUMBERS) else str(each)
        if minute:
            yield rf"0?{each}[:.]{minute:02}(?: ?[ap]\.?m\.?)?"
        else:
            yield rf"{spoken}(?:[:.]00)?(?: ?[ap]\.?m\.?)?"
        if minute in (15, 30):
            yield rf"(?:half|quarter) past {spoken}"
    if minute == 45:
        after = (hour + 1) % 12 or 12
        yield rf"quarter to (?:{after}|{_NUMBERS[after]})"
    if minute == 0 and hour % 12 == 0:
        yield "noon|midday|midnight"
