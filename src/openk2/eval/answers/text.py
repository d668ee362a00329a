"""What every family does first: the part of a text where its answer stands, in ASCII forms."""

import re
from collections import deque

# Longer than 8,192 tokens of any text; what a model says last is its answer.
MAX_CHARS = 2**18

_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ",
    0x00A0: " ",
    0x202F: " ",
    0x2009: " ",
    0x2212: "-",
    0x2013: "-",
    0x2014: "-",
}

# What announces an answer, up to the answer itself.
_ANNOUNCED = re.compile(
    r"(?:\b(?:final |correct )?answers?\b[^\n:=.]{0,60}?(?:\bis\b|\bare\b|\bequals\b|[:=])"
    r"|(?:最终|正确)?答案[^\n:。,]{0,12}?(?:[是为:]|等于)"
    r"|(?:故|应)填)"
    r"[:*_\s]{0,20}",
    re.IGNORECASE,
)
_AFTERWARDS = re.compile(
    r"(?<!\d)\.(?=\s|$)|\.(?=\s+[A-Z]|\s*$)|[。;!]|,? (?:because|since|which|so that)\b"
)


def half_width(text: str) -> str:
    """Full-width letters, digits and signs as ASCII; dashes as minus; odd spaces as spaces."""
    return text.translate(_HALF_WIDTH)


def answer_part(text: str) -> str:
    """What follows the thinking, the last MAX_CHARS of it, in half width."""
    return half_width(text.rpartition("</think>")[2][-MAX_CHARS:])


def announced(text: str) -> str | None:
    """What the last "the answer is" or 答案是 announces, up to the end of its sentence."""
    last = last_match(_ANNOUNCED, text)
    if last is None:
        return None
    line = text[last.end() : last.end() + 2000].split("\n", 1)[0]
    return bare(_AFTERWARDS.split(line, maxsplit=1)[0])


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last of the matches that do not overlap."""
    last = deque(pattern.finditer(text), maxlen=1)
    return last[0] if last else None


def bare(text: str) -> str:
    """Without Markdown's marks, quotes and the full stop around it."""
    return text.strip().strip("*_`\"'“”").rstrip("。.,;").strip().strip("*_`\"'“”").strip()
