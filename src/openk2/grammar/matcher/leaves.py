"""The shortest way to write, or to finish, one string or number.

Plain strings are counted out. For the others the library's own matcher, on single bytes, is
searched breadth first, so what is found is what the library will accept.
"""

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

from openk2.grammar.error import GrammarError
from openk2.grammar.matcher.library import byte_matcher
from openk2.grammar.matcher.plain import plain_leaf
from openk2.grammar.shapes import NumberShape, ScalarShape, StringShape

if TYPE_CHECKING:
    from llguidance import LLMatcher

# A pattern's string is found letter by letter.
MAX_PATTERN_LENGTH = 2_000
# States kept a step, how many of them may look alike at first, and letters tried of each.
_BEAM, _FEW_ALIKE, _LETTERS = 24, 4, 24
_MAX_STEPS = 4 * MAX_PATTERN_LENGTH
_MAX_TRIES = 30_000


class Leaves:
    """Searches the strings and numbers of one schema; each shape is compiled once."""

    def __init__(self) -> None:
        self._matchers: dict[ScalarShape, LLMatcher | None] = {}
        self._least: dict[ScalarShape, bytes | None] = {}

    def least_size(self, shape: ScalarShape) -> int | None:
        """Bytes of the shortest value; None if there is no value at all."""
        if isinstance(shape, StringShape) and shape.plain:
            return shape.min_length + 2
        least = self.least(shape)
        return None if least is None else len(least)

    def least(self, shape: ScalarShape) -> bytes | None:
        """The shortest value's JSON; None if there is none. Raises GrammarError if none is found,
        which a pattern that needs thousands of letters can cause."""
        if isinstance(shape, StringShape) and shape.plain:
            return b'"' + b"a" * shape.min_length + b'"'
        if isinstance(shape, NumberShape) and shape.low <= 0 <= shape.high:
            return b"0"
        if shape not in self._least:
            matcher = self._matcher(shape)
            self._least[shape] = None if matcher is None else _shortest(matcher, _hints(shape))
            if matcher is not None and self._least[shape] is None:
                raise GrammarError("has no value short enough to be found", keyword=_keyword(shape))
        return self._least[shape]

    def rest(self, shape: ScalarShape, begun: bytes) -> bytes | None:
        """What finishes a value that was begun; None if nothing does, or nothing is found."""
        if isinstance(shape, StringShape) and shape.plain:
            return _rest_of_plain(shape, begun)
        matcher = self._matcher(shape)
        if matcher is None:
            return None
        matcher = matcher.deep_copy()
        if matcher.try_consume_tokens(list(begun)) < len(begun):
            return None
        return _shortest(matcher, _hints(shape))

    def _matcher(self, shape: ScalarShape) -> "LLMatcher | None":
        """A matcher at the beginning; None if the shape holds no value."""
        if shape not in self._matchers:
            if isinstance(shape, StringShape) and shape.min_length > MAX_PATTERN_LENGTH:
                raise GrammarError(
                    f"is {shape.min_length}: beside a pattern or format at most "
                    f"{MAX_PATTERN_LENGTH} can be enforced",
                    keyword="minLength",
                )
            try:
                self._matchers[shape] = byte_matcher(plain_leaf(shape))
            except ValueError as error:
                if "nsatisfiable" not in str(error):
                    raise GrammarError(
                        f"cannot be enforced: {error}", keyword=_keyword(shape)
                    ) from None
                self._matchers[shape] = None
        return self._matchers[shape]


def text_rest(begun: bytes) -> bytes:
    """What completes the last character of a string that was begun, its quote not included."""
    last = _last_character(begun)
    return _character_rest(last) if last else b""


@lru_cache(maxsize=4096)
def _character_rest(begun: bytes) -> bytes:
    matcher = byte_matcher({"type": "string"})
    if matcher.try_consume_tokens([ord('"'), *begun]) < len(begun) + 1:
        raise ValueError(f"{begun!r} begins no character")
    rest = _shortest(matcher, frozenset())
    assert rest is not None, begun
    return rest[:-1]


def _rest_of_plain(shape: StringShape, begun: bytes) -> bytes | None:
    if not begun.startswith(b'"'):
        return None
    rest = text_rest(begun[1:])
    body = (begun[1:] + rest).decode()
    written = len(body) - escapes(body)
    return rest + b"a" * (shape.min_length - written) + b'"'


def escapes(body: str) -> int:
    """How many backslashes begin an escape."""
    count = position = 0
    while (position := body.find("\\", position)) >= 0:
        count, position = count + 1, position + 2
    return count


def _last_character(begun: bytes) -> bytes:
    """The bytes from the beginning of the last character on, an escape being one."""
    slashes = len(begun) - len(begun.rstrip(b"\\"))
    if slashes % 2:
        return b"\\"
    for back in range(1, min(4, len(begun)) + 1):
        if begun[-back] & 0xC0 != 0x80:
            return begun[-back:] if begun[-back] >= 0xC0 else b""
    return b""


def _shortest(matcher: "LLMatcher", hints: frozenset[int]) -> bytes | None:
    """The fewest bytes after which the matcher accepts; None if none were found."""
    return _searched(matcher, hints, _FEW_ALIKE) or _searched(matcher, hints, _BEAM)


def _searched(matcher: "LLMatcher", hints: frozenset[int], most_alike: int) -> bytes | None:
    """As `_shortest`, by a beam over states. most_alike: kept of those that allow the same bytes.

    Few make long strings cheap, many find the letter that matters among letters that do not.
    """
    beam = [(matcher, b"")]
    tries = 0
    for _ in range(_MAX_STEPS):
        alike: Counter[bytes] = Counter()
        grown: list[tuple[LLMatcher, bytes]] = []
        for state, written in beam:
            if state.is_accepting():
                return written
            for byte in _letters(state.compute_bitmask(), hints):
                tries += 1
                after = state.deep_copy()
                if not after.consume_token(byte):
                    continue
                if after.is_accepting():
                    return written + bytes([byte])
                look = after.compute_bitmask()
                alike[look] += 1
                if alike[look] <= most_alike and len(grown) < _BEAM:
                    grown.append((after, written + bytes([byte])))
        if not grown or tries > _MAX_TRIES:
            return None
        beam = grown
    return None


def _letters(mask: bytes, hints: frozenset[int]) -> list[int]:
    """Bytes that may come next: all if they are few, else the likely and the first of each run."""
    allowed = [byte for byte in range(256) if mask[byte // 8] >> (byte % 8) & 1]
    if len(allowed) > _LETTERS:
        known = frozenset(allowed)
        firsts = (byte for byte in allowed if byte - 1 not in known or byte in b'0Aa"')
        allowed = [*(byte for byte in allowed if byte in hints), *firsts][:_LETTERS]
    # A quote ends the string.
    return sorted(dict.fromkeys(allowed), key=lambda byte: byte != ord('"'))


def _keyword(shape: ScalarShape) -> str:
    """The keyword to blame for a leaf that cannot be enforced."""
    if isinstance(shape, StringShape):
        return "pattern" if shape.patterns else "format"
    return "minimum" if shape.multiple is None else "multipleOf"


def _hints(shape: ScalarShape) -> frozenset[int]:
    """Bytes that a shortest value is likely to have: those that its patterns spell."""
    patterns = shape.patterns if isinstance(shape, StringShape) else ()
    return frozenset("".join(patterns).encode() + b"@:/.-") - frozenset(b"\\.+*?()|[]{}^$")
