"""`Remainder`: what is missing of an unfinished value, as a grammar for other engines."""

from collections.abc import Iterator

from openk2.grammar.ending import (
    Least,
    OpenArray,
    OpenObject,
    Partial,
    arrays,
    next_named,
    objects,
    place,
    quoted,
    read_partial,
)
from openk2.grammar.lark.rules import LarkRules, last_owed, value
from openk2.grammar.lark.scalar_rules import (
    CODE,
    DIGIT,
    ESCAPED,
    FRACTION,
    FREE_CHARACTER,
    POWER,
    WHOLE,
    characters,
    literal,
    number,
)
from openk2.grammar.schema import MAX_DIGITS, node_of
from openk2.grammar.shapes import (
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
)


class Remainder:
    """The remainders of one schema's values.

    A string with a pattern or format is finished like any string, and a number with bounds like any
    number: there the remainder is wider than the mask.
    """

    def __init__(self, shapes: Shapes, least: Least) -> None:
        self._shapes = shapes
        self._rules = LarkRules(shapes, least, portable=True)

    def grammar(self, begun: bytes) -> str | None:
        """A Lark grammar of what may follow `begun`, to the end of the value.

        None if nothing may follow, inside a UTF-8 character, and inside a value that is a single
        scalar.
        """
        partial = read_partial(begun)
        if partial.whole or (partial.begun is not None and not partial.levels):
            return None
        if partial.begun is not None and partial.begun[:1] == b'"' and splits(partial.begun):
            return None
        ways = dict.fromkeys(self._of_node(self._shapes.root, partial, 0))
        return self._rules.grammar(" | ".join(ways)) if ways else None

    def _of_node(self, number: int, partial: Partial, depth: int) -> list[str]:
        union = self._shapes.node(number)
        if depth == len(partial.levels):
            if partial.begun is None:
                return [value(number)] if self._rules.has(number) else []
            return [rest for shape in union for rest in scalar_rests(shape, partial.begun)]
        level = partial.levels[depth]
        if isinstance(level, OpenArray):
            some = arrays(self._shapes, union, level)
            return [
                way for one in some for way in self._of_array(one, number, level, partial, depth)
            ]
        others = objects(self._shapes, union, level)
        return [
            way for one in others for way in self._of_object(one, number, level, partial, depth)
        ]

    def _of_array(
        self, shape: ArrayShape, number: int, level: OpenArray, partial: Partial, depth: int
    ) -> Iterator[str]:
        count = len(level.items)
        if level.after == "comma" or depth + 1 < len(partial.levels) or partial.begun is not None:
            for head in self._of_node(shape.item(count), partial, depth + 1):
                yield f"{head} {self._rules.items(shape, number, count + 1)}"
        else:
            yield self._rules.items(shape, number, count)

    def _of_object(
        self, shape: ObjectShape, number: int, level: OpenObject, partial: Partial, depth: int
    ) -> Iterator[str]:
        last, extras = place(shape, level)
        if level.key is not None:
            colon = "" if level.after == "colon" else "COLON "
            follows = self._rules.may_follow(shape, number, last + 1, extras)
            for head in self._of_node(node_of(shape, level.key), partial, depth + 1):
                yield f"{colon}{head} {follows}"
        elif partial.begun is not None and depth + 1 == len(partial.levels):
            yield from self._from_key(shape, number, partial.begun, last, extras)
        else:
            member = self._rules.member(shape, number, last + 1, extras)
            if level.after == "value":
                yield self._rules.may_follow(shape, number, last + 1, extras)
            elif member is not None:
                yield member
            if level.after == "start" and last_owed(shape) < 0:
                yield '"}"'

    def _from_key(
        self, shape: ObjectShape, number: int, begun: bytes, last: int, extras: int
    ) -> Iterator[str]:
        """Inside a key: named ones up to the next required one, or else another key."""
        named = False
        for position, name, node in next_named(self._shapes, shape, last, extras):
            if quoted(name).startswith(begun) and self._rules.has(node):
                named = True
                rest = literal(quoted(name)[len(begun) :])
                follows = self._rules.may_follow(shape, number, position + 1, 0)
                yield f"{rest} COLON {value(node)} {follows}"
        if not named and self._rules.has_extras(shape):
            follows = self._rules.may_follow(shape, number, len(shape.properties), extras + 1)
            rest = string_rest(StringShape(), begun)
            yield f"{rest} COLON {self._rules.extra_value(shape)} {follows}"


def splits(begun: bytes) -> bool:
    """Whether a string that was begun ends inside a character; a backslash is one."""
    for back, byte in enumerate(reversed(begun[-4:]), start=1):
        if byte & 0xC0 != 0x80:  # The first byte of a character says how many it has.
            return back < (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0) + 1
    return False


def escapes(body: str) -> int:
    """How many backslashes begin an escape."""
    count = position = 0
    while (position := body.find("\\", position)) >= 0:
        count, position = count + 1, position + 2
    return count


def scalar_rests(shape: ValueShape, begun: bytes) -> Iterator[str]:
    """What may follow the first bytes of a scalar, to its end."""
    is_text = begun[:1] == b'"'
    if isinstance(shape, LiteralShape):
        for whole in map(str.encode, shape.texts):
            if whole.startswith(begun):
                yield literal(whole[len(begun) :]) if whole != begun else ""
    elif isinstance(shape, StringShape) and is_text:
        yield text_rest(begun) if shape == StringShape() else string_rest(shape, begun)
    elif isinstance(shape, NumberShape) and not is_text:
        yield number_rest(shape, begun.decode())


def string_rest(shape: StringShape, begun: bytes) -> str:
    """The rest of a string. begun: its first bytes with the quote, not inside a character."""
    body = begun[1:].decode()
    is_escape = (len(body) - len(body.rstrip("\\"))) % 2
    count = len(body) - escapes(body) + is_escape
    least, most = (shape.min_length, shape.max_length) if shape.plain else (0, None)
    most = None if most is None else max(0, most - count)
    head = ESCAPED if is_escape else ""
    return f'/{head}{characters(max(0, least - count), most)}"/'


def text_rest(begun: bytes) -> str:
    """The rest of a string value without assertions, which may have any escape."""
    escape = begun_escape(begun[1:].decode())
    if len(escape) < 3:
        head = {"": "", "\\": f"({ESCAPED}|u{CODE})", "\\u": CODE}[escape]
    elif len(escape) == 3 and escape[2] in "dD":
        head = f"[0-7]{DIGIT}{{2}}"
    else:
        head = f"{DIGIT}{{{6 - len(escape)}}}"
    return f'/{head}{FREE_CHARACTER}*"/'


def begun_escape(body: str) -> str:
    """The unfinished escape at the end of a string's text; empty if there is none."""
    position = 0
    while (position := body.find("\\", position)) >= 0:
        size = 6 if body[position + 1 : position + 2] == "u" else 2
        if position + size > len(body):
            return body[position:]
        position += size
    return ""


def number_rest(shape: NumberShape, begun: str) -> str:
    """The rest of a number, which may be empty."""
    power = f"({POWER})?" if number(shape) in ("NUMBER", "POSITIVE") else ""
    mantissa, _, exponent = begun.lower().partition("e")
    if mantissa != begun.lower():
        digits = exponent.lstrip("+-")
        signs = "" if exponent else "[+-]?"
        return "/[0-9]/?" if len(digits) == 1 else "" if digits else f"/{signs}[0-9]{{1,2}}/"
    whole, point, fraction = mantissa.lstrip("-").partition(".")
    ways = []
    if point:
        ways = [f"[0-9]+{power}"]
    elif not whole:
        ways = [WHOLE] if shape.integer else [f"(0|{WHOLE}){FRACTION}{power}", f"{WHOLE}{power}"]
    else:
        ways = [] if shape.integer else [f"{FRACTION}{power}"]
        if whole != "0" and len(whole) < MAX_DIGITS:
            digits = f"[0-9]{{1,{MAX_DIGITS - len(whole)}}}"
            ways.append(digits if shape.integer else f"{digits}({FRACTION})?{power}")
    if power and (fraction or (whole and whole != "0" and not point)):
        ways.append(POWER)
    ended = bool(fraction) or (bool(whole) and not point and begun != "-0")
    return f"/{'|'.join(ways)}/{'?' if ended else ''}" if ways else ""
