r"""Pattern -> syntax tree: ECMA-262, as JSON Schema wants it.

Where readers differ about a set of characters (`\d` of Python's `re` knows all scripts, ECMA-262's
does not), a set has the characters that both agree on: what is written passes both. Below a
negation it has all that one of them might mean.
"""

from functools import lru_cache

from openk2.grammar.regex.characters import (
    ANY,
    DIGITS,
    LAST,
    LINE_ENDS,
    NO_DIGITS,
    NO_WORD,
    SPACE,
    SPACE_OF_PYTHON,
    WORD,
    Characters,
    complement,
    either_case,
    intersection,
    of_category,
    union,
)
from openk2.grammar.regex.pattern_error import PatternError
from openk2.grammar.regex.syntax import (
    Alternation,
    Boundary,
    Chars,
    End,
    Look,
    Node,
    Repeat,
    Sequence,
    Start,
)

MAX_LENGTH = 20_000
# Groups in one another; reading, compiling and writing recurse over them.
MAX_DEPTH = 60
MAX_REPEAT = 100_000

_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_CATEGORIES = {
    "Letter": "L",
    "Alphabetic": "L",
    "Lowercase_Letter": "Ll",
    "Lowercase": "Ll",
    "Uppercase_Letter": "Lu",
    "Uppercase": "Lu",
    "Mark": "M",
    "Number": "N",
    "Decimal_Number": "Nd",
    "Punctuation": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Other": "C",
    "digit": "Nd",
}


@lru_cache(maxsize=1024)
def parse(pattern: str, inverted: bool = False) -> Node:
    """The tree of a pattern. inverted: it says what may not be found.

    Raises PatternError if it is no regular expression, or has what no automaton decides:
    look-behind, references to groups.
    """
    if len(pattern) > MAX_LENGTH:
        raise PatternError(f"has {len(pattern):,} characters: at most {MAX_LENGTH:,} are read")
    return _Parser(pattern, inverted).whole()


class _Parser:
    def __init__(self, pattern: str, inverted: bool) -> None:
        self._text, self._at, self._depth = pattern, 0, 0
        self._inverted, self._any_case = inverted, False

    def whole(self) -> Node:
        if self._take("(?i)"):
            self._any_case = True
        node = self._choice()
        if self._at < len(self._text):
            raise self._wrong("has a ) too many")
        return node

    def _wrong(self, problem: str) -> PatternError:
        return PatternError(f"{problem}, at position {self._at}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        letter = self._peek()
        if not letter:
            raise self._wrong("is not complete")
        self._at += 1
        return letter

    def _take(self, text: str) -> bool:
        """Whether the text comes next; it is then passed."""
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _choice(self) -> Node:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Alternation(tuple(branches))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            item = self._quantified(self._atom())
            items += item.items if isinstance(item, Sequence) else (item,)
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _quantified(self, node: Node) -> Node:
        bounds = self._quantifier()
        if bounds is None:
            return node
        self._take("?")  # Lazy: the language is the same.
        if self._quantifier() is not None:
            raise self._wrong("has two quantifiers in a row")
        return Repeat(node, *bounds)

    def _quantifier(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._take(sign):
                return bounds
        if self._peek() != "{":
            return None
        inside, brace, _ = self._text[self._at + 1 :].partition("}")
        low, comma, high = inside.partition(",")
        digits = low.isascii() and low.isdigit() and (not high or high.isdigit())
        if not brace or not digits or len(inside) > 20 or not high.isascii():
            return None  # A brace like any character.
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if least > MAX_REPEAT or (most or 0) > MAX_REPEAT:
            raise self._wrong(f"repeats more than {MAX_REPEAT:,} times")
        if most is not None and most < least:
            raise self._wrong("repeats from more to less")
        self._at += len(inside) + 2
        return least, most

    def _atom(self) -> Node:
        letter = self._next()
        if letter == "(":
            return self._group()
        if letter == "^":
            return Start()
        if letter == "$":
            return End()
        if letter == ".":
            return Chars(complement(((0x0A, 0x0A),) if self._inverted else LINE_ENDS))
        if letter == "[":
            return Chars(self._class())
        if letter == "\\":
            return self._escape()
        if letter in "*+?":
            raise self._wrong(f"has a {letter} after nothing")
        return self._letters(((ord(letter), ord(letter)),))

    def _letters(self, characters: Characters) -> Chars:
        return Chars(either_case(characters) if self._any_case else characters)

    def _group(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"nests deeper than {MAX_DEPTH} groups")
        before = self._any_case, self._inverted
        look = None
        if self._take("?"):
            if self._take("<=") or self._take("<!"):
                raise self._wrong("has a look-behind, which is not supported")
            if self._take("=") or self._take("!"):
                look = self._text[self._at - 1] == "!"
                self._inverted ^= look
            elif self._take("i:"):
                self._any_case = True
            elif self._take("P<") or self._take("<"):
                name = self._text[self._at :].partition(">")[0]
                self._at += len(name) + 1
            elif not self._take(":"):
                raise self._wrong(f"has a group (?{self._peek()}, which is not supported")
        node = self._choice()
        if not self._take(")"):
            raise self._wrong("has a ( without )")
        self._any_case, self._inverted = before
        self._depth -= 1
        return node if look is None else Look(node, look)

    def _escape(self) -> Node:
        letter = self._peek()
        if letter in ("b", "B"):
            self._at += 1
            return Boundary(letter == "B")
        if letter in ("A", "Z", "z"):  # Of other dialects; none is an escape of ECMA-262.
            self._at += 1
            return Start() if letter == "A" else End()
        if letter.isdigit() and letter != "0":
            raise self._wrong("refers to a group, which is not supported")
        if letter == "k" and self._text[self._at + 1 : self._at + 2] == "<":
            raise self._wrong("refers to a group, which is not supported")
        characters = self._escaped_set()
        return self._letters(characters)

    def _escaped_set(self) -> Characters:
        """After a backslash: a named set or one character."""
        letter = self._next()
        if letter in "dDwWsS":
            return self._named(letter)
        if letter in "pP":
            return self._property(letter == "P")
        point = self._point(letter)
        return ((point, point),)

    def _named(self, letter: str) -> Characters:
        wide, lower = self._inverted ^ letter.isupper(), letter.lower()
        if lower == "s":
            both = union if wide else intersection
            characters = both(SPACE, SPACE_OF_PYTHON)
        else:
            narrow, others = (DIGITS, NO_DIGITS) if lower == "d" else (WORD, NO_WORD)
            characters = complement(others) if wide else narrow
        return complement(characters) if letter.isupper() else characters

    def _property(self, negated: bool) -> Characters:
        if not self._take("{"):
            raise self._wrong(r"has a \p without a name in braces")
        name, brace, _ = self._text[self._at :].partition("}")
        self._at += len(name) + 1
        short = name.rpartition("=")[2] if name.startswith(("General_Category=", "gc=")) else name
        short = _CATEGORIES.get(short, short)
        characters = ANY if name == "Any" else of_category(short) if len(short) < 3 else ()
        if not brace or not characters or not short:
            raise self._wrong(rf"has \p{{{name[:40]}}}, which is not supported")
        return complement(characters) if negated else characters

    def _point(self, letter: str) -> int:
        """The code point of an escaped character; letter: what follows the backslash."""
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "c" and self._peek().isascii() and self._peek().isalpha():
            return ord(self._next()) % 32
        if letter == "x":
            return self._hex(2)
        if letter == "u":
            if self._take("{"):
                digits = self._text[self._at :].partition("}")[0]
                point = self._hex(len(digits))
                self._at += 1
                return point
            high = self._hex(4)
            if 0xD800 <= high < 0xDC00 and self._take("\\u"):
                return 0x10000 + ((high - 0xD800) << 10) + self._hex(4) - 0xDC00
            return high
        if letter.isascii() and letter.isalnum():
            raise self._wrong(f"has the escape \\{letter}, which is not supported")
        return ord(letter)

    def _hex(self, count: int) -> int:
        digits = self._text[self._at : self._at + count]
        try:
            point = int(digits, 16) if len(digits) == count and count < 9 else -1
        except ValueError:
            point = -1
        if not 0 <= point <= LAST:
            raise self._wrong("has a wrong code point")
        self._at += count
        return point

    def _class(self) -> Characters:
        negated = self._take("^")
        self._inverted ^= negated
        found: list[Characters] = []
        while not self._take("]"):
            one = self._class_atom()
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                begin = self._at
                self._at += 1
                other = self._class_atom()
                if _is_single(one) and _is_single(other):
                    if other[0][0] < one[0][0]:
                        raise self._wrong("has a range from more to less")
                    one = ((one[0][0], other[0][0]),)
                else:  # `[\w-.]`: a minus like any character.
                    self._at = begin
            found.append(one)
        self._inverted ^= negated
        characters = union(*found)
        if self._any_case:
            characters = either_case(characters)
        return complement(characters) if negated else characters

    def _class_atom(self) -> Characters:
        letter = self._next()
        if letter != "\\":
            return ((ord(letter), ord(letter)),)
        if self._take("b"):
            return ((8, 8),)
        return self._escaped_set()


def _is_single(characters: Characters) -> bool:
    return len(characters) == 1 and characters[0][0] == characters[0][1]
