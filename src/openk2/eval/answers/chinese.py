"""Chinese numerals as fractions: 一百零五, 三万二, 两千, 负三点五, 三分之二, 百分之五十."""

import re
from fractions import Fraction

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_GROUPS = {"亿": 10**8, "億": 10**8, "万": 10**4, "萬": 10**4}  # the largest first
_NUMERAL = re.compile("负?[零一二三四五六七八九〇两兩十百千万萬亿億点分之]{1,40}")


def chinese_number(text: str) -> Fraction | None:
    """The value of a text that is a Chinese numeral and nothing else, otherwise None."""
    if not _NUMERAL.fullmatch(text):
        return None
    if text.startswith("负"):
        value = chinese_number(text[1:])
        return None if value is None else -value
    if "分之" in text:
        below, above = text.split("分之", 1)
        parts = (Fraction(100) if below == "百" else chinese_number(below), chinese_number(above))
        if parts[0] is None or parts[1] is None or not parts[0]:
            return None
        return parts[1] / parts[0]
    if "点" in text:
        whole, digits = text.split("点", 1)
        start = _whole(whole)
        if start is None or not digits or any(char not in _DIGITS for char in digits):
            return None
        written = "".join(str(_DIGITS[char]) for char in digits)
        return start + Fraction(int(written), 10 ** len(written))
    return _whole(text)


def _whole(text: str) -> Fraction | None:
    """A whole number, with 亿 and 万 as the groups of its digits."""
    if text and all(char in _DIGITS for char in text):  # digit by digit: 二〇二四
        return Fraction(int("".join(str(_DIGITS[char]) for char in text)))
    for sign, scale in _GROUPS.items():
        head, found, tail = text.rpartition(sign)
        if found:
            above = _whole(head)
            below = Fraction(0) if not tail else _under_ten_thousand(tail, scale)
            below = _whole(tail) if below is None else below
            return None if above is None or below is None else above * scale + below
    return _under_ten_thousand(text, 1)


def _under_ten_thousand(text: str, before: int) -> Fraction | None:
    """Thousands, hundreds and tens. before: the unit that stands before the text: 三万二 is 32,000,
    a digit without its unit takes the next one down."""
    value = digit = 0
    unit = before
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
            unit = 1 if char in "零〇" else unit
        elif char in _UNITS:
            value += (digit or (1 if char == "十" else 0)) * _UNITS[char]
            digit, unit = 0, _UNITS[char]
        else:
            return None
    return Fraction(value + digit * max(1, unit // 10)) if text else None
