"""Code out of an answer: fenced blocks, an unfinished fence, or an answer that is all code."""

import re
from collections.abc import Sequence

# A fence stands at the start of its line, indented at most; its info string is one word.
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n`]*$")
_NAMES = {
    "python": ("python", "python3", "py", "py3"),
    "cpp": ("cpp", "c++", "cc", "cxx"),
    "csharp": ("csharp", "c#", "cs"),
    "java": ("java",),
    "javascript": ("javascript", "js", "node"),
    "typescript": ("typescript", "ts"),
    "php": ("php",),
    "bash": ("bash", "sh", "shell"),
    "go": ("go", "golang"),
    "rust": ("rust", "rs"),
}


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Fenced blocks in order: (info word in lower case, code). The last one may lack its end."""
    blocks: list[tuple[str, str]] = []
    fence, info, lines = "", "", list[str]()
    for line in text.splitlines():
        found = _FENCE.match(line)
        if not fence and found:
            fence, info, lines = found[1], found[2].lower(), []
        elif fence and found and not found[2] and found[1].startswith(fence):
            blocks.append((info, "\n".join(lines)))
            fence = ""
        elif fence:
            lines.append(line)
    if fence and lines:
        blocks.append((info, "\n".join(lines)))
    return blocks


def extract_code(text: str, language: str, *, defines: str = "") -> str:
    """The program in an answer: the last block in its language, else the last without a language,
    else the last of any; without a block, the whole text.

    defines: a name that the program must have; blocks that have it come before those without (an
    answer often ends with an example of use).
    """
    blocks = code_blocks(text)
    if not blocks:
        return text.strip("\n")
    names = _NAMES.get(language, (language,))
    for wanted in (names, ("",), None):
        own = [code for info, code in blocks if wanted is None or info in wanted]
        with_name = [code for code in own if defines and _has_name(code, defines)]
        if with_name:
            return with_name[-1]
    for wanted in (names, ("",), None):
        own = [code for info, code in blocks if wanted is None or info in wanted]
        if own:
            return own[-1]
    raise AssertionError("unreachable: there is a block")


def cut_at(text: str, stops: Sequence[str]) -> str:
    """`text` up to the first of `stops` in it: how a base model's completion ends."""
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]


def _has_name(code: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code) is not None
