"""StopStrings: the same end of the text however it is cut."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openk2.generation.stop_strings import StopStrings

ALPHABET = "ab雪"
TEXT = st.text(ALPHABET, max_size=30)
STOPS = st.lists(st.text(ALPHABET, min_size=1, max_size=5), max_size=4)


def first_end(text: str, stops: list[str]) -> tuple[str, str | None]:
    """Character by character, as slowly as it can be said: (text before the string, the string)."""
    for end in range(1, len(text) + 1):
        for stop in sorted(stops, key=len, reverse=True):
            if text[:end].endswith(stop):
                return text[: end - len(stop)], stop
    return text, None


def run(pieces: list[str], stops: list[str]) -> tuple[str, str | None]:
    search = StopStrings(stops)
    given = "".join([search.feed(piece) for piece in pieces])
    return given + search.flush(), search.matched


@example("雪ab", ["b", "ab"], [])  # both are complete at the same character
@example("abb", ["abb", "b"], [])  # the one that begins later is complete first
@given(TEXT, STOPS, st.lists(st.integers(0, 30)))
def test_the_end_is_where_a_string_is_first_complete_however_the_text_is_cut(text, stops, cuts):
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert run(pieces, stops) == run([text], stops) == first_end(text, stops)


@given(TEXT, STOPS)
def test_nothing_is_held_back_that_cannot_begin_a_string(text, stops):
    search = StopStrings(stops)
    given = ""
    for end, character in enumerate(text, 1):
        given += search.feed(character)
        if search.matched is not None:
            return
        held = text[len(given) : end]
        assert given + held == text[:end]
        assert not held or any(stop.startswith(held) for stop in stops)


@pytest.mark.parametrize(
    ("pieces", "given", "flushed"),
    [
        (["one\n", "\nEN"], ["one", ""], "\n\nEN"),
        (["one\n\nE", "N", "E"], ["one", "", "\n\nENE"], ""),
        (["one\n\nEN", "D two"], ["one", ""], ""),
    ],
)
def test_the_beginning_of_a_string_is_held_until_it_is_known(pieces, given, flushed):
    search = StopStrings(["\n\nEND"])
    assert [search.feed(piece) for piece in pieces] == given
    assert search.flush() == flushed


def test_after_a_string_nothing_is_given():
    search = StopStrings(["x"])
    assert [search.feed("axb"), search.feed("c"), search.flush()] == ["a", "", ""]
