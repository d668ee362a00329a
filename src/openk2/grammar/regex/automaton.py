"""The automaton of a program: sets of threads, each with the look-aheads it still depends on.

A thread stands at an instruction. Its obligations are pairs of (negated, state): the automaton of
a look-ahead, which has to accept the whole rest, or must not. States are made as they are reached.
"""

from collections import deque
from collections.abc import Iterable

from openk2.grammar.regex.pattern_error import PatternError
from openk2.grammar.regex.program import InstructionKind, Program

# Steps of one thread, up to ten microseconds each.
MAX_WORK = 30_000

NEVER, ALWAYS = 0, 1
_ENDED = -1  # A thread that accepts if the text ends here.

Obligations = frozenset[tuple[bool, int]]
Thread = tuple[int, Obligations]
_Node = tuple[Thread, int]
NO_OBLIGATIONS: Obligations = frozenset()
# What comes before a place: nothing, a character, a word character.
_AT_START, _INSIDE, _AFTER_WORD = 0, 1, 2


class Automaton:
    """States are numbers; NEVER accepts no text, ALWAYS every text.

    Raises PatternError when its work is used up.
    """

    def __init__(self, program: Program, max_work: int = MAX_WORK) -> None:
        self._program, self._code = program, program.instructions
        self._left = self._max_work = max_work
        self._states: dict[frozenset[Thread], int] = {}
        self._threads: list[frozenset[Thread]] = []
        self._closures: dict[tuple[int, int], tuple[Thread, ...]] = {}
        self._steps: dict[tuple[int, int], int] = {}
        self._accepting: dict[int, bool] = {}
        assert self._state(()) == NEVER
        assert self._state([(program.match, NO_OBLIGATIONS)]) == ALWAYS

    @property
    def size(self) -> int:
        """States made so far."""
        return len(self._threads)

    def begin(self) -> None:
        """Allow the work of another question."""
        self._left = self._max_work

    def start(self, entry: int) -> int:
        """The state of a program's entry at the beginning of the text."""
        return self._state(self._closure(entry, _AT_START))

    def threads(
        self, main: int | None, found: Iterable[int], absent: Iterable[int]
    ) -> list[Thread]:
        """The threads of an entry, each of them obliged to the other entries."""
        owed = {(False, self.start(entry)) for entry in found}
        owed |= {(True, self.start(entry)) for entry in absent}
        obligations = self._kept(owed)
        if obligations is None:
            return []
        if main is None:
            return [(self._program.match, obligations)]
        return [(at, owed | obligations) for at, owed in self._closure(main, _AT_START)]

    def accepts_end(self, state: int) -> bool:
        """Whether the text may end here."""
        if state not in self._accepting:
            self._accepting[state] = any(map(self.thread_accepts, self._threads[state]))
        return self._accepting[state]

    def thread_accepts(self, thread: Thread) -> bool:
        """Whether one thread lets the text end here."""
        at, obligations = thread
        return at in (_ENDED, self._program.match) and all(
            self.accepts_end(state) != negated for negated, state in obligations
        )

    def step(self, state: int, symbol: int) -> int:
        """The state after one more character, of this class."""
        key = (state, symbol)
        if key not in self._steps:
            reached = [
                after for thread in self._threads[state] for after in self.advance(thread, symbol)
            ]
            self._steps[key] = self._state(reached)
        return self._steps[key]

    def advance(self, thread: Thread, symbol: int) -> list[Thread]:
        """Where one thread gets to by one more character."""
        self._spend(1)
        at, obligations = thread
        if at == _ENDED or not self._code[at].mask >> symbol & 1:
            return []
        owed = self._kept((n, self.step(state, symbol)) for n, state in obligations)
        if owed is None:
            return []
        if at == self._program.match:
            return [(at, owed)]
        is_word = self._program.has_boundary and self._program.alphabet.word >> symbol & 1
        closure = self._closure(self._code[at].nexts[0], _AFTER_WORD if is_word else _INSIDE)
        return [(pc, more | owed) for pc, more in closure]

    def mask(self, thread: Thread) -> int:
        """The classes that a thread can go on with."""
        return 0 if thread[0] == _ENDED else self._code[thread[0]].mask

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise PatternError("is too large to be decided")

    def _kept(self, owed: Iterable[tuple[bool, int]]) -> Obligations | None:
        """Obligations without those that are met; None if one cannot be."""
        left = set()
        for negated, state in owed:
            if state == (ALWAYS if negated else NEVER):
                return None
            if state != (NEVER if negated else ALWAYS):
                left.add((negated, state))
        return frozenset(left)

    def _closure(self, entry: int, before: int) -> tuple[Thread, ...]:
        """The threads that stand at a character, at the end or at a match, from an entry on."""
        key = (entry, before)
        if key in self._closures:
            return self._closures[key]
        found: dict[Thread, None] = {}
        pending: list[tuple[int, Obligations, bool]] = [(entry, NO_OBLIGATIONS, False)]
        seen = set(pending)
        while pending:
            at, owed, ended = pending.pop()
            self._spend(1)
            code = self._code[at]
            more: Obligations | None = owed
            if code.kind is InstructionKind.MATCH:
                found[(_ENDED if ended else at, owed)] = None
            elif code.kind is InstructionKind.CHARS:
                if not ended:
                    found[(at, owed)] = None
                continue
            elif code.kind is InstructionKind.LOOK:
                sub = self._state(self._closure(code.sub, before))
                more = self._kept({*owed, (code.negated, sub)})
            elif code.kind is InstructionKind.BOUNDARY:
                word = self._state(self._closure(self._program.word, before))
                is_outside = before != _AFTER_WORD
                more = self._kept({*owed, (is_outside == code.negated, word)})
            if more is None or (code.kind is InstructionKind.START and before != _AT_START):
                continue
            for after in reversed(code.nexts):
                one = (after, more, ended or code.kind is InstructionKind.END)
                if one not in seen:
                    seen.add(one)
                    pending.append(one)
        self._closures[key] = tuple(found)
        return self._closures[key]

    def _state(self, threads: Iterable[Thread]) -> int:
        kept = self._without_implied(frozenset(threads))
        if kept not in self._states:
            self._states[kept] = len(self._threads)
            self._threads.append(kept)
        return self._states[kept]

    def _without_implied(self, threads: frozenset[Thread]) -> frozenset[Thread]:
        """Without threads that another at the same place, or at a match, makes needless."""
        if all(not owed and at != self._program.match for at, owed in threads):
            return threads
        self._spend(len(threads))
        by_place: dict[int, list[Obligations]] = {}
        for at, owed in sorted(threads, key=lambda thread: len(thread[1])):
            known = by_place.setdefault(at, [])
            if not any(one <= owed for one in known):
                known.append(owed)
        matches = by_place.get(self._program.match, [])
        return frozenset(
            (at, owed)
            for at, some in by_place.items()
            for owed in some
            if at == self._program.match or not any(one <= owed for one in matches)
        )


def shortest(
    automaton: Automaton,
    program: Program,
    starts: Iterable[Thread],
    least: int = 0,
    most: int | None = None,
) -> str | None:
    """The shortest text that one of the threads accepts, of `least` to `most` characters."""
    # Before `least` a thread of another length is another node; from there on it is not.
    pending: deque[tuple[_Node, int]] = deque(((thread, 0), 0) for thread in starts)
    came: dict[_Node, tuple[_Node, str] | None] = {node: None for node, _ in pending}
    while pending:
        node, length = pending.popleft()
        thread = node[0]
        if length >= least and automaton.thread_accepts(thread):
            return _text(came, node)
        if most is not None and length >= most:
            continue
        alike = not thread[1] and not program.has_boundary
        mask = automaton.mask(thread)
        for symbol, letter in program.alphabet.letters.items():
            if not mask >> symbol & 1:
                continue
            for after in automaton.advance(thread, symbol):
                following = (after, min(length + 1, least))
                if following not in came:
                    came[following] = (node, letter)
                    pending.append((following, length + 1))
            if alike:
                break  # All of its characters lead to the same place.
    return None


def _text(came: dict[_Node, tuple[_Node, str] | None], node: _Node) -> str:
    text: list[str] = []
    step = came[node]
    while step is not None:
        node, letter = step
        text.append(letter)
        step = came[node]
    return "".join(reversed(text))
