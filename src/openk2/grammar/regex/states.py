"""A regular expression without assertions for any tree: by its states, one after another removed.

For the few trees whose look-aheads are repeated, or that ask for word boundaries.
"""

from openk2.grammar.regex.automaton import ALWAYS, NEVER, Automaton
from openk2.grammar.regex.pattern_error import PatternError
from openk2.grammar.regex.program import Program
from openk2.grammar.regex.quoted import NO_TEXT, quoted_set
from openk2.grammar.regex.syntax import Node

MAX_STATES, MAX_TEXT = 80, 60_000


def text_of_states(tree: Node, absent: bool = False) -> str:
    """The texts that the tree is found in, or is not, as an expression of JSON strings' insides.

    Raises PatternError if there are too many states, or the expression gets too long.
    """
    edges, accepting = _explored(tree, absent)
    begin, end = -1, -2
    ways: dict[tuple[int, int], str] = {(begin, 0): ""}
    ways |= edges
    ways |= {(state, end): "" for state in accepting}
    left = {state for pair in ways for state in pair} - {begin, end}
    while left:
        state = min(left, key=lambda one: _cost(ways, one))
        left.remove(state)
        _remove(ways, state)
        if sum(map(len, ways.values())) > MAX_TEXT:
            raise PatternError("has assertions that take too long an expression to write out")
    return ways.get((begin, end), NO_TEXT)


def _explored(tree: Node, absent: bool) -> tuple[dict[tuple[int, int], str], list[int]]:
    """The ways between the states that something can come of, the first being 0."""
    program = Program([tree])
    automaton = Automaton(program)
    numbers = {automaton.start(program.searches[0]): 0}
    masks: dict[tuple[int, int], int] = {}
    pending = list(numbers)
    while pending:
        state = pending.pop()
        for symbol in program.alphabet.letters:
            after = automaton.step(state, symbol)
            if after == (ALWAYS if absent else NEVER):
                continue
            if after not in numbers:
                numbers[after] = len(numbers)
                pending.append(after)
                if len(numbers) > MAX_STATES:
                    raise PatternError("has assertions that take too many states to write out")
            pair = (numbers[state], numbers[after])
            masks[pair] = masks.get(pair, 0) | 1 << symbol
    accepting = [n for state, n in numbers.items() if automaton.accepts_end(state) != absent]
    edges = {pair: quoted_set(program.alphabet.characters(mask)) for pair, mask in masks.items()}
    return edges, accepting


def _cost(ways: dict[tuple[int, int], str], state: int) -> int:
    into = [len(text) + 1 for (_, after), text in ways.items() if after == state]
    out = [len(text) + 1 for (before, _), text in ways.items() if before == state]
    return sum(into) * len(out) + sum(out) * len(into)


def _remove(ways: dict[tuple[int, int], str], state: int) -> None:
    loop = ways.pop((state, state), None)
    around = "" if loop is None else f"(?:{loop})*"
    into = {before: text for (before, after), text in ways.items() if after == state}
    out = {after: text for (before, after), text in ways.items() if before == state}
    for before in into:
        del ways[before, state]
    for after in out:
        del ways[state, after]
    for before, first in into.items():
        for after, last in out.items():
            text = f"{first}{around}{last}"
            known = ways.get((before, after))
            ways[before, after] = text if known is None else f"(?:{known}|{text})"
