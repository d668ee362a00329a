r"""Answers to mathematical problems: what the last `\boxed{}` holds, and if it is the reference.

Equal text and plain numbers are decided here; every other pair goes to `math_process`, where
math-verify compares it under limits of time and memory.
"""

import re
from functools import lru_cache

from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.math_process import equivalent
from openk2.eval.answers.numbers import number_answer, parse_number, tidy
from openk2.eval.answers.text import announced, answer_part, bare

MAX_ANSWER = 2000  # characters; the longest reference of MATH has 150

_SPAN = re.compile(
    r"\$\$([^$]{1,2000})\$\$|\$([^$\n]{1,2000})\$|\\\(([^\n]{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]",
    re.S,
)
_TEXT = re.compile(
    r"\\(?:text|mathrm|textbf|textrm|mathbf|mbox|textit|mathit)\s{0,4}\{([^{}]{0,200})\}"
)
_NAME = re.compile(r"\\?[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\(\w\))?\s?(?:=|\\in\b|∈|:=)\s?(?=.)")
_IN_BASE = re.compile(r"[0-9A-F.]+_(?:\d|\{\d+\})")  # 52_8; math-verify reads no base
_PLAIN_WORDS = re.compile(r"[(\[]?[^\W\d_][\w .,'’&-]{0,80}[)\]]?|[A-Za-z]")


def math_answer(text: str) -> str | None:
    """The final answer of a worked solution: in the last box, as announced, or the last formula."""
    text = answer_part(text)
    box = last_boxed(text)
    if box is not None:
        return box.strip()
    if r"\boxed" in text:  # cut off within its answer
        return None
    stated = announced(text)
    if stated:
        spans = _spans(stated)
        return ", ".join(spans) if spans else stated
    spans = _spans(text[-4000:])
    return spans[-1] if spans else number_answer(text)


def _spans(text: str) -> list[str]:
    return [next(filter(None, groups)).strip() for groups in _SPAN.findall(text)]


@lru_cache(maxsize=20_000)
def same_math(answer: str | None, reference: str) -> bool:
    """Whether an answer is the reference: in text, as a number, or by math-verify."""
    if not answer or len(answer) > MAX_ANSWER:
        return False
    ours, right = normalized(answer), normalized(reference)
    if not ours or not right:
        return False
    if ours == right or _IN_BASE.fullmatch(right):
        return ours == right
    number, wanted = parse_number(ours), parse_number(right)
    if number is not None and wanted is not None:
        return number.same(wanted)
    if _PLAIN_WORDS.fullmatch(spoken(right)) and "\\" not in spoken(right):
        return spoken(ours) == spoken(right)
    if wanted is not None and _words_only(ours):
        return False
    return equivalent(ours, right)


def normalized(answer: str) -> str:
    """One spelling of a formula: tidy, without a nested box, a name before `=`, or loose spaces."""
    inner = last_boxed(answer)
    text = tidy(bare(inner if inner is not None else answer))
    whole = _TEXT.fullmatch(text)
    if whole and parse_number(whole[1]):  # \text{080}
        text = whole[1].strip()
    head = _NAME.match(text)
    if head and text.count("=") + text.count(r"\in") <= 1 and not _equation(text):
        text = text[head.end() :]
    text = re.sub(r"_\{(\w)\}", r"_\1", text)
    text = re.sub(r"\^\{(\w)\}", r"^\1", text)
    text = re.sub(r"\s*([,+=<>|;:()\[\]{}^/-])\s*", r"\1", text)
    return text.strip().rstrip(".").strip()


def _equation(text: str) -> bool:
    """`y = 2x` is an equation of a line and stays one; `x = 3` names a value."""
    head, _, rest = text.partition("=")
    return (
        head.strip() in ("y", "f(x)", "g(x)")
        and re.search(r"(?<![a-z\\])x(?![a-z])", rest) is not None
    )


def spoken(text: str) -> str:
    r"""A word that is an answer: `\text{(E)}`, `Navin`, `\textbf{even}`, in lower case."""
    plain = _TEXT.sub(r"\1", text).strip()
    plain = re.sub(r"^\(([A-Za-z])\)$", r"\1", plain)
    return re.sub(r"[\s.]+", " ", plain).strip().casefold()


def _words_only(text: str) -> bool:
    return not re.search(r"[\d\\]", text) and len(text) > 3
