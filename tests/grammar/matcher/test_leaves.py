"""The shortest string or number, and the shortest that goes on from where one breaks off."""

import json

import pytest

from openk2.grammar import GrammarError
from openk2.grammar.matcher.leaves import Leaves, escapes, text_rest
from openk2.grammar.shapes import NumberShape, StringShape


@pytest.mark.parametrize(
    ("shape", "least"),
    [
        (StringShape(), '""'),
        (StringShape(min_length=4), '"aaaa"'),
        (StringShape(patterns=("^ab+$",)), '"ab"'),
        (StringShape(patterns=("^a", "b$")), '"ab"'),
        (NumberShape(True, -5, 5), "0"),
        (NumberShape(True, 0, 5), "0"),
        (NumberShape(True, -5, 0), "0"),
        (NumberShape(True, 3, 12), "3"),
        (NumberShape(True, 98, 140), "98"),
        (NumberShape(True, -20, -3), "-3"),
        (NumberShape(True, 10, 1000, 7), "14"),
    ],
)
def test_the_shortest_value_of_a_shape(shape: StringShape | NumberShape, least: str) -> None:
    leaves = Leaves()
    found = leaves.least(shape)
    assert found is not None
    assert len(found) == len(least)
    assert leaves.least_size(shape) == len(least)
    value = json.loads(found)
    if isinstance(shape, NumberShape):
        assert shape.low <= value <= shape.high
        assert value % (shape.multiple or 1) == 0
    else:
        assert found.decode() == least


@pytest.mark.parametrize("name", ["date", "uuid", "ipv4", "email", "date-time", "uri"])
def test_a_format_has_a_shortest_value_that_goes_on_from_any_part_of_it(name: str) -> None:
    leaves, shape = Leaves(), StringShape(formats=(name,))
    least = leaves.least(shape)
    assert least is not None
    assert leaves.least_size(shape) == len(least)
    for cut in range(1, len(least)):
        rest = leaves.rest(shape, least[:cut])
        assert rest is not None
        # What is searched may find as short an end, hardly ever a longer one.
        assert len(rest) <= len(least) - cut + 2


def test_a_shape_without_values_has_none_and_one_without_short_ones_is_refused() -> None:
    leaves = Leaves()
    assert leaves.least(NumberShape(True, 1, 6, 7)) is None
    assert leaves.least_size(NumberShape(True, 1, 6, 7)) is None
    with pytest.raises(GrammarError) as caught:
        leaves.least(StringShape(min_length=2_001, patterns=("a",)))
    assert caught.value.keyword == "minLength"
    assert leaves.least(StringShape(min_length=2_001)) == b'"' + b"a" * 2_001 + b'"'


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        (b'"', b'aaa"'),
        (b'"xy', b'a"'),
        (b'"xyz', b'"'),
        (b'"xyzzy', b'"'),
        (b'"\\', b'"aa"'),
        (b'"\\n', b'aa"'),
        (b'"\\\\\\"', b'a"'),
        ('"é'.encode(), b'aa"'),
        ('"é'.encode()[:-1], None),
    ],
)
def test_the_rest_of_a_plain_string_counts_characters(begun: bytes, rest: bytes | None) -> None:
    found = Leaves().rest(StringShape(min_length=3), begun)
    assert found is not None
    if rest is not None:
        assert len(found) == len(rest)
    value = json.loads((begun + found).decode())
    assert len(value) == max(3, len(json.loads((begun + text_rest(begun[1:]) + b'"').decode())))


@pytest.mark.parametrize("letter", ["a", "é", "€", "🎿"])
def test_a_character_that_was_begun_is_completed(letter: str) -> None:
    whole = letter.encode()
    assert text_rest(whole) == b""
    assert text_rest(b"x" + whole) == b""
    for cut in range(1, len(whole)):
        (b"x" + whole[:cut] + text_rest(b"x" + whole[:cut])).decode()
        assert len(text_rest(whole[:cut])) == len(whole) - cut


def test_escapes_are_counted_and_a_backslash_that_is_escaped_begins_none() -> None:
    assert [escapes(text) for text in ("", "a", r"\n", r"\\", r"\\n", r"\\\n", r"a\"b\"")] == [
        *(0, 0, 1, 1, 1, 2, 2)
    ]


def test_the_rest_of_a_number_stays_within_its_bounds() -> None:
    leaves, shape = Leaves(), NumberShape(True, 120, 129)
    assert leaves.rest(shape, b"1") == b"20"
    assert leaves.rest(shape, b"12") is not None
    assert leaves.rest(shape, b"13") is None
    assert leaves.rest(shape, b"125") == b""
