"""The strings that some patterns are found in and others are not."""

from collections.abc import Sequence

from openk2.grammar.regex.automaton import ALWAYS, NEVER, Automaton, shortest
from openk2.grammar.regex.parser import parse
from openk2.grammar.regex.program import Program
from openk2.grammar.regex.syntax import parts

# States that are kept for the next text.
MAX_REMEMBERED = 2_000


class Language:
    """Strings with every pattern of `found` and none of `absent`.

    Raises PatternError for a pattern that cannot be read, and every method for a question that
    would take too long: all work is bounded.
    """

    def __init__(self, found: Sequence[str] = (), absent: Sequence[str] = ()) -> None:
        trees = [parse(pattern) for pattern in found]
        trees += [parse(pattern, inverted=True) for pattern in absent]
        # The largest is followed thread by thread, the others state by state.
        sizes = [sum(1 for _ in parts(tree)) for tree in trees]
        self._program = Program(trees)
        entries = self._program.searches
        self._found, self._absent = entries[: len(found)], entries[len(found) :]
        order = sorted(range(len(found)), key=lambda index: -sizes[index])
        self._main = self._found[order[0]] if order else None
        self._others = [self._found[index] for index in order[1:]]
        self._follower: Automaton | None = None

    def holds(self, text: str) -> bool:
        """Whether it is one of the strings."""
        if self._follower is None or self._follower.size > MAX_REMEMBERED:
            self._follower = Automaton(self._program)
        automaton = self._follower
        automaton.begin()
        wanted = [(entry, True) for entry in self._found]
        wanted += [(entry, False) for entry in self._absent]
        for entry, expected in wanted:
            state = automaton.start(entry)
            for letter in text:
                if state in (NEVER, ALWAYS):
                    break
                state = automaton.step(state, self._program.alphabet.of(letter))
            if automaton.accepts_end(state) != expected:
                return False
        return True

    def shortest(self, least: int = 0, most: int | None = None) -> str | None:
        """The shortest string that can be written, of `least` to `most` characters; None if there
        is none."""
        automaton = Automaton(self._program)
        starts = automaton.threads(self._main, self._others, self._absent)
        return shortest(automaton, self._program, starts, least, most)
