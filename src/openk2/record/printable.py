"""`printable`: text of others for a terminal, which obeys what it is sent.

ESC begins commands (colours, titles, the clipboard, answers typed as if by the user), BEL rings,
and U+202E shows text in another order than it has.
"""

import re

# Control characters but for tab and newline; and what changes the direction of text.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with every unsafe character spelt `\\uXXXX`, as JSON would; CR is left out."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r", ""))
