"""Tool-call ids as Anthropic's clients take them: `toolu_` and then `[a-zA-Z0-9_-]` only.

K2's ids are `functions.NAME:IDX`. Letters, digits and `_` stay, every other byte of the UTF-8 is
`-` and two hex digits: `functions.get-time:1` <-> `toolu_functions-2eget-2dtime-3a1`. The escape
character is itself escaped, so no two ids have one form and the way back is exact.
"""

import re

PREFIX = "toolu_"
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_ESCAPED = re.compile(r"toolu_((?:[A-Za-z0-9_]|-[0-9a-f]{2})*)")
_BYTE = re.compile(rb"-([0-9a-f]{2})")


def tool_use_id(call_id: str) -> str:
    """The form that clients receive."""
    # A lone surrogate, which a name in JSON can hold, has no UTF-8 but must not fail.
    data = call_id.encode("utf-8", "surrogatepass")
    return PREFIX + "".join(chr(byte) if byte in _PLAIN else f"-{byte:02x}" for byte in data)


def call_id_of(text: str) -> str:
    """The id that `tool_use_id` encoded; any other id is returned unchanged."""
    escaped = _ESCAPED.fullmatch(text)
    if escaped is None:
        return text
    data = _BYTE.sub(lambda match: bytes([int(match[1], 16)]), escaped[1].encode())
    try:
        call_id = data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text
    # "-41" reads as "A", which is written "A": two ids must not become one.
    return call_id if tool_use_id(call_id) == text else text
