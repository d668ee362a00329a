r"""The content of the last `\boxed{}` of a text, in one pass."""

import re

_TOKEN = re.compile(r"\\(?:boxed|fbox)\s{0,4}\{|\\.|[{}]", re.DOTALL)
_UNBRACED = re.compile(r"\\boxed\s{1,4}([^\s$\\{}]{1,100})")


def last_boxed(text: str) -> str | None:
    r"""What the last closed `\boxed{...}` or `\fbox{...}` holds; one that was cut off is none."""
    content = None
    opened: list[tuple[int, bool]] = []
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word.endswith("{") and word != r"\{":
            opened.append((token.end(), len(word) > 1))
        elif word == "}" and opened:
            start, is_box = opened.pop()
            if is_box:
                content = text[start : token.start()]
    if content is None:
        unbraced = _UNBRACED.findall(text)
        content = unbraced[-1] if unbraced else None
    return content
