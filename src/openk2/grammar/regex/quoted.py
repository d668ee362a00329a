"""Regular expressions of what stands between the quotes of a JSON string, in Rust's dialect.

Each character has one spelling in JSON here, so set operations on strings are set operations on
their spellings.
"""

from openk2.grammar.regex.characters import WRITABLE, Characters, complement, intersection
from openk2.grammar.regex.syntax import Alternation, Chars, Node, Repeat, Sequence

_ESCAPES = {8: "b", 9: "t", 10: "n", 12: "f", 13: "r", 0x22: '"', 0x5C: r"\\"}
_PLAIN = intersection(WRITABLE, complement(tuple((point, point) for point in sorted(_ESCAPES))))
NO_TEXT = "[a&&b]"


def quoted(node: Node) -> str:
    """The expression of a tree without assertions."""
    if isinstance(node, Chars):
        return quoted_set(node.characters)
    if isinstance(node, Sequence):
        return "".join(map(quoted, node.items))
    if isinstance(node, Alternation):
        return f"(?:{'|'.join(map(quoted, node.branches))})"
    assert isinstance(node, Repeat), node
    return repeated(quoted(node.item), node.least, node.most)


def repeated(text: str, least: int, most: int | None) -> str:
    """An expression so many times."""
    if (least, most) == (1, 1) or not text:
        return text
    signs = {(0, None): "*", (1, None): "+", (0, 1): "?"}
    bounds = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    return f"(?:{text}){signs.get((least, most), bounds)}"


def quoted_set(characters: Characters) -> str:
    """One character of a set."""
    plain = intersection(characters, _PLAIN)
    escapes = "".join(
        sign
        for point, sign in _ESCAPES.items()
        if any(low <= point <= high for low, high in characters)
    )
    ways = [f"[{''.join(_range(low, high) for low, high in plain)}]"] if plain else []
    if len(plain) == 1 and plain[0][0] == plain[0][1]:
        ways = [_point(plain[0][0])]
    ways += [rf"\\[{escapes}]"] if escapes else []
    if not ways:
        return NO_TEXT
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _range(low: int, high: int) -> str:
    return _point(low) if low == high else f"{_point(low)}-{_point(high)}"


def _point(point: int) -> str:
    letter = chr(point)
    return letter if letter.isascii() and letter.isalnum() else f"\\x{{{point:x}}}"
