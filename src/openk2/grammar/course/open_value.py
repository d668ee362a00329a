"""A value while it is written: what may come next, and how much closing it may take."""

import re

from openk2.grammar.course.value_grammar import ValueGrammar
from openk2.grammar.matcher import TokenVocabulary, Words

_MARKS = re.compile(rb'["\\{}\[\],]')


class OpenValue:
    """One value under its schema. `undo` takes the last id back, and only the last."""

    def __init__(self, vocabulary: TokenVocabulary, grammar: ValueGrammar) -> None:
        self._vocabulary, self._grammar = vocabulary, grammar
        self._matcher = grammar.matcher()
        self._text = bytearray()
        self._nesting = Nesting()
        self._before = (0, Nesting())

    def fill(self, words: Words) -> bool:
        """Write the ids that may come next, without the end; whether the end may come.

        Raises RuntimeError if the library gave up, for example over a pattern's cost.
        """
        self._matcher.unsafe_compute_mask_ptr(words.ctypes.data, words.nbytes)
        if self._matcher.is_error():
            raise RuntimeError(f"the grammar gave up: {self._matcher.get_error()[:300]}")
        return self._vocabulary.forbid(words, self._vocabulary.call_end)

    def take(self, token_id: int) -> None:
        """Append an id whose bytes may come next. Raises ValueError for another, and the end."""
        end = token_id == self._vocabulary.call_end
        if end or self._matcher.try_consume_tokens([token_id]) != 1:
            raise ValueError(f"token {token_id} is not allowed here")
        self._before = (len(self._text), self._nesting)
        piece = self._vocabulary.bytes_of(token_id)
        self._text += piece
        self._nesting = self._nesting.after(piece)

    def undo(self) -> None:
        """Take the last id back."""
        self._matcher.rollback(1)
        length, self._nesting = self._before
        del self._text[length:]

    @property
    def complete(self) -> bool:
        """Whether the value may end here."""
        return self._matcher.is_accepting()

    @property
    def opened(self) -> int:
        """How many lists, objects and members were begun so far."""
        return self._nesting.opened

    @property
    def depth(self) -> int:
        """How many lists and objects are open."""
        return self._nesting.depth

    def bound(self) -> int:
        """Tokens that closing takes at most: a bound that costs nothing to compute."""
        return self._nesting.depth * self._grammar.level_size + self._grammar.leaf_size

    def growth(self, opened: int) -> int:
        """Tokens by which closing may have grown since `opened` was what it says, at most."""
        grown = self._nesting.opened - opened
        return grown * self._grammar.level_size + self._grammar.leaf_size

    def closing(self) -> list[int] | None:
        """Ids that close the value; None if none were found."""
        return self._grammar.closing(self._matcher, bytes(self._text))

    def remainder(self) -> str | None:
        """What is missing of the value: see `Remainder.grammar`."""
        return self._grammar.remainder(bytes(self._text))


class Nesting:
    """Where in JSON a text ends.

    depth: lists and objects that are open. opened: how many were ever begun, and commas.
    """

    __slots__ = ("_escaped", "_in_string", "depth", "opened")

    def __init__(
        self, depth: int = 0, opened: int = 0, in_string: bool = False, escaped: bool = False
    ) -> None:
        self.depth, self.opened = depth, opened
        self._in_string, self._escaped = in_string, escaped

    def after(self, piece: bytes) -> "Nesting":
        """The state behind a further piece."""
        depth, opened = self.depth, self.opened
        in_string, skip = self._in_string, 0 if self._escaped else -1
        for match in _MARKS.finditer(piece):
            mark, at = match[0], match.start()
            if at == skip:
                continue
            if in_string:
                if mark == b"\\":
                    skip = at + 1
                elif mark == b'"':
                    in_string = False
            elif mark == b'"':
                in_string = True
            elif mark in b"{[":
                depth, opened = depth + 1, opened + 1
            elif mark == b",":
                opened += 1
            else:
                depth -= 1
        return Nesting(depth, opened, in_string, skip == len(piece))
