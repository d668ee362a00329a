r"""Which option an answer names: boxed, announced in English or Chinese, bold, or alone on a line.

The last explicit statement counts. An answer that names several options at once names none.
"""

import re
from collections.abc import Sequence

from openk2.eval.answers.boxed import last_boxed
from openk2.eval.answers.text import answer_part

LETTERS = "ABCDEFGHIJ"

_OPEN = r"(?:[\s*_`\"'“‘「【(\[$:]|\\[(\[]|\\(?:text|mathbf|mathrm|textbf|boxed|mathbf)\{){0,8}"
_CLOSE = r"(?![A-Za-z0-9_#]|\+\+|['’](?:s|t|m|d|ll|re|ve)\b|\s{0,2}[-+=^<>]\s{0,2}\w)"
_LETTER = rf"{_OPEN}(?P<letter>[A-J]){_CLOSE}"
_NOUN = r"(?:answers?|choices?|options?|solution|statement|response)"

_SAYS = r"(?:\bis\b|\bwould be\b|\bmust be\b|\bshould be\b|:|=|->|→)"
_ADVERB = r"(?:therefore|thus|clearly|indeed|definitely|simply|then|most likely)"
_NAMED = rf"(?:the|letter|correct|{_NOUN}|{_ADVERB})"
_CHOOSE = r"(?:choose|select|pick|go with|answer)"
_AFTER = r"[\s)*_\]}.$\\]{0,8}"
_SHOULD = "(?:应该|应当|应|就|便|显然|因此)?"
_SO = r"(?:故|应|因此|所以|本题|此题|我|综上|,|。|^)"

# Statements that name an option; the letter follows or stands before.
_STATEMENTS = [
    re.compile(pattern)
    for pattern in (
        # The right answer therefore is: option (C)
        rf"(?i:\b(?:answer|choice|option)\b(?:\s(?!not\b|isn)[\w']{{1,15}}){{0,6}}\s?{_SAYS})"
        rf"(?:[\s*_]{{0,6}}(?i:{_NAMED}\b[\s:]{{0,3}})){{0,4}}{_LETTER}",
        # correct option C
        rf"(?i:\b(?:answer|correct)\s{_NOUN})\s?{_LETTER}",
        # Answer C
        rf"(?i:^[\s*_#]{{0,8}}answer)[\s*_]{{0,4}}{_LETTER}",
        # I would choose option C; choose C
        rf"(?i:\b(?:i(?:'ll| will| would|'d)?|we|you should)\s{_CHOOSE})"
        rf"\s(?i:(?:the|{_NOUN}|letter)\s){{0,3}}{_LETTER}",
        rf"(?i:\b(?:choose|select|pick)\s(?:{_NOUN}\s){{0,1}}){_LETTER}",
        # C is correct; C is the best answer
        rf"{_LETTER}{_AFTER}(?:is|are)\s(?i:(?:{_ADVERB}|the)\s){{0,3}}(?i:correct|right|true)\b",
        rf"{_LETTER}{_AFTER}is\s(?:the|our|my)\s(?:(?:best|only|most)\s){{0,2}}"
        r"(?:correct|right|final|appropriate|accurate)?\s?(?:answer|choice|option)\b",
        # 答案是C; 故选C; C项正确
        rf"(?:答案|正确的?选项|选项|正确的){_SHOULD}(?:是|为|选|选择|:|=)+(?:选项)?{_LETTER}",
        rf"{_SO}\s?(?:,)?(?:答案)?{_SHOULD}选择?(?:答案|选项|项)?(?:是|为|:)?{_LETTER}",
        rf"{_LETTER}[)\s]{{0,3}}(?:项|选项)?是?正确(?!率)",
    )
]
_ALONE = re.compile(
    r"^[\s>#*_`\"'(\[$\\-]{0,10}(?:\\(?:boxed|text)\{|(?i:option|choice|选项)\s{0,2}){0,3}"
    r"(?P<letter>[A-J])(?:[\s)*_`\"'\].:$}\\。]{0,10}$|[).:、。]\s?\S)"
)
_BOLD = re.compile(
    r"\*\*\s?(?i:(?:option|choice|answer)[\s:]{0,3})?"
    r"\(?(?P<letter>[A-J])\)?(?:[.):][^*\n]{0,300})?\s?\*\*"
)
_ALSO = re.compile(
    r"[\s)\]}*_$.]{0,6}(?:(?i:\b(?:or|and|nor)\b)|/|,|&|、|或|和|与)\s{0,2}"
    r"(?i:option\s|choice\s)?[\s(\[*_]{0,5}(?P<also>[A-J])(?![A-Za-z0-9'])"
)
_ARTICLE = re.compile(
    r"\s+(?!(?:because|since|as|and|or|with|is|for|which|given|due|not|by|from|in|that|so|but|based)\b)"
    r"[a-z]"
)
_BOX_LETTER = re.compile(
    rf"{_OPEN}(?:(?i:option|choice|answer|选项)\s{{0,2}})?{_OPEN}"
    r"(?P<letter>[A-Ja-j])(?:[\s)}\].*$:、]|$)"
)
_LOWER = re.compile(
    r"(?i:answer|答案)\s?(?:is|:|是|为)\s{0,3}[*_(\[\"]{0,4}(?P<letter>[a-j])[)\]*_\".。]{0,6}\s*$",
    re.MULTILINE,
)


def choice_answer(text: str, letters: Sequence[str] = LETTERS) -> str | None:
    """The letter of the option that a text settles on, None if it names none, or several."""
    text = answer_part(text).replace("\u2026", " ")
    stated = _last_statement(text)
    boxed_at = max(text.rfind(r"\boxed"), text.rfind(r"\fbox"))
    if boxed_at > (stated.start("letter") if stated else -1):
        letter = _of_box(text)
        if letter or stated is None:
            return _allowed(letter, letters) or _allowed(_unstated(text), letters)
    if stated is not None:
        if _several(text, stated):
            return None
        return _allowed(stated["letter"].upper(), letters)
    return _allowed(_unstated(text), letters)


def _allowed(letter: str | None, letters: Sequence[str]) -> str | None:
    return letter if letter is not None and letter in letters else None


def _last_statement(text: str) -> re.Match[str] | None:
    """The statement whose letter stands last. Reads line by line: none goes over two lines' end."""
    found = [match for match in _LOWER.finditer(text[-20_000:]) if len(text) <= 20_000]
    for pattern in _STATEMENTS:
        found += [match for match in pattern.finditer(text) if not _is_article(text, match)]
    return max(found, key=lambda match: match.start("letter"), default=None)


def _is_article(text: str, match: re.Match[str]) -> bool:
    """Whether the letter is a word of the sentence: "the answer is A dog", "I think"."""
    if match["letter"] not in ("A", "I"):
        return False
    before = text[match.start("letter") - 1 : match.start("letter")]
    return before not in "([*{" and _ARTICLE.match(text, match.end("letter")) is not None


def _several(text: str, match: re.Match[str]) -> bool:
    """Whether other options are named in the same breath: "A or B", "A、C"."""
    also = _ALSO.match(text, match.end("letter"))
    return also is not None and also["also"] != match["letter"].upper()


def _of_box(text: str) -> str | None:
    content = last_boxed(text)
    if content is None:
        return None
    match = _BOX_LETTER.match(content)
    if match is None or _several(content, match):
        return None
    return match["letter"].upper()


def _unstated(text: str) -> str | None:
    """The letter that stands alone on the last line or the first, or the last one in bold."""
    lines = [line for line in text.strip().split("\n") if line.strip()]
    if not lines:
        return None
    for line in (lines[-1], lines[0]):
        match = _ALONE.match(line)
        if match and not _several(line, match) and not _is_article(line, match):
            return match["letter"]
    bold = [match["letter"] for match in _BOLD.finditer(text)]
    return bold[-1] if bold else None
