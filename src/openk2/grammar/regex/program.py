"""Syntax trees compiled to one small program: instructions over classes of characters.

Thompson's construction, with repetitions written out. Look-aheads are entries of their own, which
the automaton follows beside the text.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from openk2.grammar.regex.characters import ANY, WORD, WRITABLE, Characters
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
    is_anchored,
    parts,
)

MAX_INSTRUCTIONS = 20_000


class InstructionKind(Enum):
    """What an instruction does."""

    CHARS = auto()
    SPLIT = auto()
    START = auto()
    END = auto()
    BOUNDARY = auto()
    LOOK = auto()
    MATCH = auto()


@dataclass(slots=True)
class Instruction:
    """nexts: where it goes on. mask: bit k for class k of characters. sub: a look-ahead's entry."""

    kind: InstructionKind
    nexts: tuple[int, ...] = ()
    mask: int = 0
    sub: int = -1
    negated: bool = False


class Alphabet:
    """Characters in classes that no set of some trees tells apart."""

    def __init__(self, sets: Iterable[Characters]) -> None:
        sets = set(sets) | {WRITABLE, WORD}
        bounds = {0}
        for characters in sets:
            for low, high in characters:
                bounds |= {low, high + 1}
        self._begins = sorted(bounds)
        signature = [0] * len(self._begins)
        for number, characters in enumerate(sets):
            for low, high in characters:
                first = bisect_right(self._begins, low) - 1
                for index in range(first, bisect_right(self._begins, high)):
                    signature[index] |= 1 << number
        known: dict[int, int] = {}
        self._classes = [known.setdefault(one, len(known)) for one in signature]
        self.size = len(known)
        self._masks: dict[Characters, int] = {}
        self.word = self.mask(WORD)
        self.every = (1 << self.size) - 1
        writable = self.mask(WRITABLE)
        # The letter that stands for a class in the shortest text, likely ones first.
        self.letters: dict[int, str] = {}
        for letter in "a0A_-. @/:" + "".join(map(chr, range(33, 127))):
            self.letters.setdefault(self.of(letter), letter)
        for begin, number in zip(self._begins, self._classes, strict=True):
            if writable >> number & 1:
                self.letters.setdefault(number, chr(begin))

    def of(self, letter: str) -> int:
        """The class of a character."""
        return self._classes[bisect_right(self._begins, ord(letter)) - 1]

    def mask(self, characters: Characters) -> int:
        """The classes of a set; only of sets that the alphabet was made for."""
        if characters not in self._masks:
            mask = 0
            for low, high in characters:
                first = bisect_right(self._begins, low) - 1
                for index in range(first, bisect_right(self._begins, high)):
                    mask |= 1 << self._classes[index]
            self._masks[characters] = mask
        return self._masks[characters]

    def characters(self, mask: int) -> Characters:
        """The characters of some classes."""
        ends = [*self._begins[1:], ANY[0][1] + 1]
        found: list[tuple[int, int]] = []
        for begin, end, number in zip(self._begins, ends, self._classes, strict=True):
            if not mask >> number & 1:
                continue
            if found and found[-1][1] + 1 == begin:
                begin = found.pop()[0]
            found.append((begin, end - 1))
        return tuple(found)


class Program:
    """Instructions of several trees. searches: the entry of each, which finds it anywhere."""

    def __init__(self, trees: Iterable[Node]) -> None:
        trees = tuple(trees)
        every = [part for tree in trees for part in parts(tree)]
        self.has_boundary = any(isinstance(part, Boundary) for part in every)
        self.alphabet = Alphabet(p.characters for p in every if isinstance(p, Chars))
        self.instructions: list[Instruction] = []
        self.match = self._add(Instruction(InstructionKind.MATCH, mask=self.alphabet.every))
        self.word = self._add(Instruction(InstructionKind.CHARS, (self.match,), self.alphabet.word))
        self.searches = [self._search(tree) for tree in trees]

    def _add(self, instruction: Instruction) -> int:
        if len(self.instructions) > MAX_INSTRUCTIONS:
            raise PatternError("is too large with its repetitions written out")
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def _search(self, tree: Node) -> int:
        entry = self._compiled(tree, self.match)
        if is_anchored(tree):
            return entry
        skip = self._add(Instruction(InstructionKind.CHARS, mask=self.alphabet.every))
        begin = self._add(Instruction(InstructionKind.SPLIT, (entry, skip)))
        self.instructions[skip].nexts = (begin,)
        return begin

    def _compiled(self, node: Node, after: int) -> int:
        """The entry of a node that goes on at `after`."""
        if isinstance(node, Chars):
            mask = self.alphabet.mask(node.characters)
            return self._add(Instruction(InstructionKind.CHARS, (after,), mask))
        if isinstance(node, Sequence):
            for item in reversed(node.items):
                after = self._compiled(item, after)
            return after
        if isinstance(node, Alternation):
            branches = tuple(self._compiled(branch, after) for branch in node.branches)
            return self._add(Instruction(InstructionKind.SPLIT, branches))
        if isinstance(node, Repeat):
            return self._repeated(node, after)
        if isinstance(node, Look):
            sub = self._compiled(node.item, self.match)
            return self._add(
                Instruction(InstructionKind.LOOK, (after,), sub=sub, negated=node.negated)
            )
        if isinstance(node, Boundary):
            return self._add(Instruction(InstructionKind.BOUNDARY, (after,), negated=node.negated))
        assert isinstance(node, Start | End)
        kind = InstructionKind.START if isinstance(node, Start) else InstructionKind.END
        return self._add(Instruction(kind, (after,)))

    def _repeated(self, node: Repeat, after: int) -> int:
        entry = after
        if node.most is None:
            entry = self._add(Instruction(InstructionKind.SPLIT))
            self.instructions[entry].nexts = (self._compiled(node.item, entry), after)
        else:
            for _ in range(node.most - node.least):
                body = self._compiled(node.item, entry)
                entry = self._add(Instruction(InstructionKind.SPLIT, (body, after)))
        for _ in range(node.least):
            entry = self._compiled(node.item, entry)
        return entry
