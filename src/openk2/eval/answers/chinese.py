"""Chinese numerals as fractions: 一百零五, 三万二, 两千, 负三点五, 三分之二, 百分之五十."""

import re
from fractions import Fraction

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_GROUPS = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
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
    if text and all(char in _DIGITS for char in text):  # digit by digit: 二〇二四
        return Fraction(int("".join(str(_DIGITS[char]) for char in text)))
    total = section = digit = 0
    last_unit = 1
    for char in text:
        if char in _DIGITS:
            digit = _DIGITS[char]
            last_unit = 1 if char in "零〇" else last_unit
        elif char in _UNITS:
            section += (digit or (1 if char == "十" else 0)) * _UNITS[char]
            digit, last_unit = 0, _UNITS[char]
        elif char in _GROUPS:
            total = (total + section + digit) * _GROUPS[char]
            section, digit, last_unit = 0, 0, _GROUPS[char]
        else:
            return None
    # 三万二 is 32,000: a digit without its unit takes the next one down.
    return Fraction(total + section + digit * max(1, last_unit // 10)) if text else None
