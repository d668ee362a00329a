r"""Numbers as models write them: separators, fractions, powers of ten, percent, currency, units.

Exact: 0.333 is not 1/3. What is no plain number (`2k`, `\sqrt{2}`) is None here and goes to
`math.same_math`.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.chinese import chinese_number
from openk2.eval.answers.text import announced, answer_part, bare, last_match

MAX_DIGITS = 1000  # more than any answer; int() refuses 4,300
MAX_EXPONENT = 400

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d{1,3}(?: \d{3})+(?!\d)|\d{1,1000})?(?:\.\d{1,1000})?"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s*(?P<currency>\\?\$|[€£¥₹])?\s*(?P<sign2>[-+]?)\s*"
    rf"(?:(?P<mixed>\d{{1,9}})?\s*\\frac\{{(?P<top>-?{_DIGITS})\}}\{{(?P<bottom>{_DIGITS})\}}"
    rf"|(?P<mixed2>\d{{1,9}})\s+(?P<top2>\d{{1,9}})/(?P<bottom2>\d{{1,9}})"
    rf"|(?P<top3>{_DIGITS})\s*/\s*(?P<bottom3>{_DIGITS})"
    rf"|(?P<plain>{_DIGITS}))"
    r"(?:\s*(?:\\times|\\cdot|×|\*)\s*10\s*\^\s*\{?\s*(?P<power>[-+]?\d{1,4})\s*\}?"
    r"|[eE](?P<exponent>[-+]?\d{1,4}))?"
    r"(?P<unit>.{0,80})",
    re.DOTALL,
)
_WORDS = re.compile(
    r"[\s~-]*(?:\\(?:text|mathrm|textrm|mbox|operatorname)\s*\{(?P<text>[^{}]{0,60})\}"
    r"|(?P<bare>[^\W\d_][^\d\\{}=+*/^()\[\]<>|]{0,60}(?:/[^\W\d_]{1,12})?))"
    r"\s*(?P<power>\^\s*\{?[2-9]\}?|[²³])?\s*\.?\s*"
)
_PERCENT = re.compile(r"\s*(?:\\?%|percent|per cent|\\text\s*\{\s*(?:\\?%|percent)\s*\})\s*")
_DEGREES = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|°|\\degree|\\text\s*\{\s*degrees?\s*\}|degrees?)\s*"
)
_SHORT_UNITS = frozenset(
    (  # noqa: SIM905
        "cm mm km nm kg mg ml dl ft in yd mi lb lbs oz hr hrs min sec mph kph hz pa kpa km/h"
        " m/s cm/s ft/s km/hr mi/h am pm"
    ).split()
)
_UNIT_NAMES = {
    "centimeter": "cm",
    "centimetre": "cm",
    "meter": "m",
    "metre": "m",
    "kilometer": "km",
    "kilometre": "km",
    "kilogram": "kg",
    "gram": "g",
    "inch": "in",
    "feet": "ft",
    "foot": "ft",
    "hr": "hour",
    "min": "minute",
    "sec": "second",
    "dollar": "$",
}
_NOT_UNITS = re.compile(
    r"(?:pi|sqrt|sin|cos|tan|log|ln|exp|or|and|i|e|x|y|to|plus|minus|times)\b", re.I
)
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8, "千": 3}
_SPACES = re.compile(r"(?<!\\)\\[,;: ]|\\q?quad\b|~")
_LAST = re.compile(
    rf"(?<![\w.])[-+]?\$?(?=[\d.])(?!\.\D){_DIGITS}(?:/\d{{1,9}})?(?:[eE][-+]?\d{{1,3}})?(?!\d|[ixynk](?![A-Za-z]))"
)

# 20 or 30, 650-750: two answers, or an expression that was not evaluated.
_SEVERAL = re.compile(r"\d\s?(?:-|~|to|or|and|或|到|至)\s?[$€£]?\s?\d")


@dataclass(frozen=True)
class Quantity:
    """A number and its unit, in lower case ("" for none). With percent the value is of the number
    before the sign, and `percent` is true."""

    value: Fraction
    unit: str = ""
    percent: bool = False

    def same(self, other: "Quantity") -> bool:
        """Equal values whose units do not contradict each other. 50 % is 50 and 0.5."""
        if self.unit and other.unit and self.unit != other.unit:
            return False
        if self.percent == other.percent:
            return self.value == other.value
        share, number = (self, other) if self.percent else (other, self)
        return number.value in (share.value, share.value / 100)


def parse_number(text: str) -> Quantity | None:
    """The number that is the whole of a text, but for its unit; None for anything else."""
    if len(text) > 2 * MAX_DIGITS:
        return None
    text = tidy(text)
    match = _NUMBER.fullmatch(text)
    if match is None:
        return _in_chinese(text)
    value = _value(match)
    unit = _unit(match["unit"])
    if value is None or unit is None:
        return _in_chinese(text) if value is None else None
    percent = unit == "%"
    if unit in _SCALES:
        value, unit = value * 10 ** _SCALES[unit], ""
    if match["currency"] and not unit:
        unit = match["currency"].lstrip("\\")
    return Quantity(value, "" if percent else unit, percent)


def tidy(text: str) -> str:
    r"""One spelling: no `$` around it, no `\left`, `\,`, `\dfrac`; `\frac34` with its braces."""
    text = text.strip().removesuffix(".").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
        inner = text[len(opening) : -len(closing)]
        if text.startswith(opening) and text.endswith(closing) and inner.strip("$").strip():
            text = inner.strip()
            break
    text = re.sub(r"\\left\b|\\right\b|\\displaystyle\b|\\limits\b", "", text)
    text = _SPACES.sub(" ", text.replace("{,}", ",").replace(r"\!", ""))
    text = re.sub(r"\\[dtc]frac\b", r"\\frac", text)
    text = re.sub(r"\\frac\s{0,4}(\d)\s{0,4}(\d)(?!\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac\s{0,4}(\d)\s{0,4}\{", r"\\frac{\1}{", text)
    text = re.sub(r"\\frac\s{0,4}(\{[^{}]{0,40}\})\s{0,4}(\d)", r"\\frac\1{\2}", text)
    return re.sub(r"\s+", " ", text).strip()


def _value(match: re.Match[str]) -> Fraction | None:
    """The number of a match of _NUMBER, None if it has no digits or divides by zero."""
    if match["sign"] and match["sign2"]:
        return None
    top = match["top"] or match["top2"] or match["top3"]
    bottom = match["bottom"] or match["bottom2"] or match["bottom3"]
    if top or bottom:
        above, below = _decimal(top), _decimal(bottom)
        if above is None or not below:
            return None
        value = above / below + int(match["mixed"] or match["mixed2"] or 0)
    else:
        plain = _decimal(match["plain"])
        if plain is None:
            return None
        value = plain
    power = int(match["power"] or match["exponent"] or 0)
    if abs(power) > MAX_EXPONENT:
        return None
    negative = (match["sign"] or match["sign2"]) == "-"
    return (-value if negative else value) * Fraction(10) ** power


def _decimal(text: str | None) -> Fraction | None:
    digits = (text or "").replace(",", "").replace(" ", "")
    if not digits.strip("-."):
        return None
    return Fraction(digits)


def _unit(text: str) -> str | None:
    """The unit in lower case, "" for none, "%" for percent; None if the text is no unit."""
    if not text.strip():
        return ""
    if _PERCENT.fullmatch(text):
        return "%"
    if _DEGREES.fullmatch(text):
        return "degree"
    match = _WORDS.fullmatch(text)
    if match is None:
        return None
    power = (match["power"] or "").translate({ord("²"): "2", ord("³"): "3"}).strip("^{} ")
    if match["text"] is not None and _NOT_UNITS.match(match["text"].strip()):
        return None
    if match["text"] is not None:
        return _singular(match["text"].strip().lower()) + power
    word = match["bare"].strip().lower()
    known = word in _SHORT_UNITS or word in _SCALES or not word[0].isascii()
    known = known or (word in ("m", "s", "g") and text[0].isspace())
    spelled = len(word) > 2 and text[0].isspace() and not _NOT_UNITS.match(word)
    return _singular(word) + power if known or spelled else None


def _singular(word: str) -> str:
    """A unit's one spelling: `inches` and `inch` are `in`."""
    word = word.rstrip(". ")
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word.removesuffix("es") if word == "inches" else word[:-1]
    return _UNIT_NAMES.get(word, word)


def _in_chinese(text: str) -> Quantity | None:
    """A Chinese numeral, a counter after it left out."""
    match = re.match("负?[零一二三四五六七八九〇两兩十百千万萬亿億点分之]{1,40}", text)
    if match is None or len(text) - match.end() > 3:
        return None
    value = chinese_number(match.group())
    rest = text[match.end() :].strip()
    if value is None or any(char.isascii() for char in rest):
        return None
    return Quantity(value, rest)


def number_answer(text: str) -> str | None:
    r"""The number that a text ends on: after `####`, in the last box, as announced, or the last.
    None if it announces several."""
    text = answer_part(text)
    marked = text.rpartition("####")
    if marked[1]:
        return _settled(bare(marked[2].strip().split("\n", 1)[0]))
    box = last_boxed(text)
    if box is not None:
        return box
    stated = announced(text)
    if stated and (parse_number(stated) or _last(stated)):
        return _settled(stated)
    return _last(text)


def _settled(line: str) -> str | None:
    """The number of a line that announces an answer; after the last `=` there may be one only."""
    if parse_number(line):
        return line
    return None if _SEVERAL.search(line.rpartition("=")[2]) else _last(line)


def _last(text: str) -> str | None:
    last = last_match(_LAST, text)
    return None if last is None else last.group()


def same_number(answer: str | None, reference: str) -> bool:
    """Whether both are numbers and equal. False for an answer that is no number."""
    if answer is None:
        return False
    ours, right = parse_number(answer), parse_number(reference)
    return ours is not None and right is not None and ours.same(right)
