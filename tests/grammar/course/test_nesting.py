"""What is open in a text that begins JSON."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from openk2.grammar.course.nesting import Nesting

VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | st.text('a"\\{}[],:', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('k"\\{,', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def plainly(text: str) -> int:
    """Depth, letter by letter."""
    depth = 0
    in_string = escaped = False
    for letter in text:
        if in_string:
            if escaped:
                escaped = False
            elif letter == "\\":
                escaped = True
            elif letter == '"':
                in_string = False
        elif letter == '"':
            in_string = True
        else:
            depth += (letter in "[{") - (letter in "]}")
    return depth


@given(VALUES, st.integers(0, 2**32))
def test_pieces_of_any_length_count_levels_outside_of_strings(value: object, seed: int) -> None:
    text, chooser = json.dumps(value), random.Random(seed)
    nesting, position = Nesting(), 0
    while position < len(text):
        step = chooser.randint(1, 4)
        nesting = nesting.after(text[position : position + step].encode())
        position += step
        assert nesting.depth == plainly(text[:position])
    assert nesting.depth == 0
