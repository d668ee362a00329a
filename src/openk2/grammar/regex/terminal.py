"""Languages written as terminals of a Lark grammar for llguidance, JSON's quotes included.

Its terminals know `&` and `~`, so look-aheads, several patterns and forbidden ones are written
as what they are: `a(?=b)c` is `/a/ (/c/ & /b.*/)`.
"""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import lru_cache

from openk2.grammar.regex.characters import ANY
from openk2.grammar.regex.parser import parse
from openk2.grammar.regex.pattern_error import PatternError
from openk2.grammar.regex.quoted import NO_TEXT, quoted, quoted_set, repeated
from openk2.grammar.regex.states import text_of_states
from openk2.grammar.regex.syntax import (
    NOTHING,
    Alternation,
    Boundary,
    End,
    Look,
    Node,
    Repeat,
    Start,
    parts,
)
from openk2.grammar.regex.syntax import Sequence as Row

# Parts that a tree is taken apart into, and characters of the whole.
MAX_PARTS, MAX_TEXT = 400, 200_000
# A repeated group with assertions in it is written out so often.
MAX_WRITTEN_OUT = 4

CHARACTER = quoted_set(ANY)
NO_STRING = f"/{NO_TEXT}/"


def string_terminal(
    found: Sequence[str] = (),
    absent: Sequence[str] = (),
    least: int = 0,
    most: int | None = None,
    names: Iterable[str] = (),
) -> str:
    """The terminal of the strings that have every pattern of `found` and none of `absent`.

    least, most: their characters. names: strings that are none of them.
    Raises PatternError for what is too large.
    """
    needed = [language(pattern) for pattern in found]
    if least or most is not None or not needed:
        needed.append(_regex(repeated(CHARACTER, least, most)))
    needed += [complement(pattern) for pattern in absent]
    texts = sorted({json.dumps(name, ensure_ascii=False)[1:-1] for name in names})
    if texts:
        needed.append(f"~({' | '.join(json.dumps(text, ensure_ascii=False) for text in texts)})")
    whole = f'"\\"" ({" & ".join(needed)}) "\\""'
    if len(whole) > MAX_TEXT:
        raise PatternError(f"takes more than {MAX_TEXT:,} characters to write out")
    return whole


@lru_cache(maxsize=256)
def language(pattern: str) -> str:
    """The strings that a pattern is found in, without their quotes."""
    tree = parse(pattern)
    try:
        return _Writer().search(tree)
    except _NotWritten:
        return _regex(text_of_states(tree))


@lru_cache(maxsize=256)
def complement(pattern: str) -> str:
    """The strings that a pattern is not found in, and others that are no strings."""
    tree = parse(pattern, inverted=True)
    try:
        return f"~({_Writer(negated=True).search(tree)})"
    except _NotWritten:
        return _regex(text_of_states(tree, absent=True))


class _NotWritten(Exception):
    """The assertions of a tree stand where `&` and `~` cannot say them."""


class _Writer:
    """negated: what it writes will be negated. In a negation the library misreads `&` and `~`."""

    def __init__(self, negated: bool = False) -> None:
        self._left, self._negated = MAX_PARTS, negated

    def search(self, tree: Node) -> str:
        """A tree that may be found anywhere."""
        any_text = repeated(CHARACTER, 0, None)
        if not any(isinstance(part, Start) for part in parts(tree)):
            with suppress(_Dead):
                return _joined(any_text, self._language((tree,), at_start=False))
            return NO_STRING
        ways: list[str] = []
        for skipped, at_start in (("", True), (repeated(CHARACTER, 1, None), False)):
            with suppress(_Dead):
                ways.append(_joined(skipped, self._language((tree,), at_start)))
        return _either(ways) if ways else NO_STRING

    def _language(self, items: tuple[Node, ...], at_start: bool | None) -> str:
        """Texts that begin with the items. at_start: None if that depends on the text before."""
        self._left -= 1
        if self._left < 0:
            raise _NotWritten
        written = ""
        for index, item in enumerate(items):
            if _is_plain(item):
                written += quoted(item)
                if at_start is not False and item != NOTHING:
                    at_start = None if _is_nullable(item) else False
            elif isinstance(item, Start):
                if at_start is None:
                    raise _NotWritten
                if not at_start:
                    raise _Dead
            else:
                return _joined(written, self._asserted(item, items[index + 1 :], at_start))
        return _regex(written + repeated(CHARACTER, 0, None))

    def _asserted(self, item: Node, rest: tuple[Node, ...], at_start: bool | None) -> str:
        """Texts that begin with an item that has assertions in it, and with what follows it."""
        if isinstance(item, End):
            if not all(isinstance(one, End) or _is_plain(one) for one in rest):
                raise _NotWritten
            if not all(isinstance(one, End) or _is_nullable(one) for one in rest):
                raise _Dead
            return _regex("")
        if isinstance(item, Look):
            return self._looked(item, rest, at_start)
        if isinstance(item, Row):
            return self._language((*item.items, *rest), at_start)
        if isinstance(item, Alternation):
            return self._any([(branch, *rest) for branch in item.branches], at_start)
        if isinstance(item, Repeat) and item.most is not None and item.most <= MAX_WRITTEN_OUT:
            counts = range(item.least, item.most + 1)
            return self._any([(*(item.item,) * count, *rest) for count in counts], at_start)
        raise _NotWritten

    def _looked(self, item: Look, rest: tuple[Node, ...], at_start: bool | None) -> str:
        if self._negated:
            raise _NotWritten
        following = self._language(rest, at_start)
        self._negated = item.negated
        try:
            look = self._language((item.item,), at_start)
        except _Dead:
            if not item.negated:
                raise
            return following
        finally:
            self._negated = False
        return f"({following} & {'~' if item.negated else ''}({look}))"

    def _any(self, ways: list[tuple[Node, ...]], at_start: bool | None) -> str:
        texts: list[str] = []
        for way in ways:
            with suppress(_Dead):
                texts.append(self._language(way, at_start))
        if not texts:
            raise _Dead
        return _either(texts)


class _Dead(Exception):
    """No text is meant."""


def _is_plain(node: Node) -> bool:
    return not any(isinstance(part, Look | Start | End | Boundary) for part in parts(node))


def _is_nullable(node: Node) -> bool:
    """Whether a plain node matches nothing too."""
    if isinstance(node, Row):
        return all(map(_is_nullable, node.items))
    if isinstance(node, Alternation):
        return any(map(_is_nullable, node.branches))
    return isinstance(node, Repeat) and (node.least == 0 or _is_nullable(node.item))


def _regex(text: str) -> str:
    """A regular expression as Lark writes it."""
    return f"/{text}/" if text else '""'


def _joined(text: str, rest: str) -> str:
    if not text:
        return rest
    if rest == '""':
        return _regex(text)
    if _is_regex(rest):
        return f"/{text}{rest[1:-1]}/"
    return f"/{text}/ ({rest})"


def _either(texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    if all(_is_regex(text) for text in texts):
        return f"/(?:{'|'.join(text[1:-1] for text in texts)})/"
    return f"({' | '.join(texts)})"


def _is_regex(text: str) -> bool:
    # No slash is written inside of a regular expression: `quoted` spells it by its number.
    return text.startswith("/") and text.count("/") == 2 and text.endswith("/")
