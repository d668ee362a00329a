"""Unfinished JSON, read and written back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.grammar.ending.partial import OpenArray, Partial, read_partial

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from([0.5, -2.25, "é", 'q"\\'])
    | st.text('a"\\{}[],:', max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text('k"\\{é', max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def written(partial: Partial) -> bytes:
    """The text that a partial stands for, if it has no white space and is not whole."""
    text = b""
    for level in partial.levels:
        if isinstance(level, OpenArray):
            text += b"[" + ",".join(map(compact, level.items)).encode()
        else:
            members = [f"{compact(key)}:{compact(value)}" for key, value in level.members]
            text += b"{" + ",".join(members).encode()
            if level.key is not None:
                text += b"," * bool(level.members) + compact(level.key).encode()
        text += {"comma": b",", "colon": b":"}.get(level.after, b"")
    return text + (partial.begun or b"")


@given(VALUES, st.data())
def test_what_is_read_of_any_beginning_is_all_that_it_says(value: Any, data: st.DataObject) -> None:
    text = compact(value).encode()
    begun = text[: data.draw(st.integers(0, len(text)))]
    partial = read_partial(begun)
    is_number = begun[-1:].isalnum() and not partial.levels
    assert partial.whole == (begun == text and not is_number)
    if not partial.whole:
        assert written(partial) == begun


def test_white_space_between_the_parts_changes_nothing() -> None:
    for compacted in ('{"a":[1,', '{"a":[1,{"b"', '{"a":[1,{"b":', "[", '[[],"x'):
        spaced = compacted.replace(",", ", ").replace(":", ": ").replace("[", "[ ")
        assert read_partial(spaced.encode()) == read_partial(compacted.encode())


@pytest.mark.parametrize(
    ("text", "begun", "whole"),
    [
        (b"", None, False),
        (b"12", b"12", False),
        (b"tru", b"tru", False),
        (b'"a"', None, True),
        (b'"a\\', b'"a\\', False),
        (b"{}", None, True),
        (b'{"a":-', b"-", False),
        (b"[1,2]", None, True),
    ],
)
def test_a_number_at_the_end_may_go_on_and_a_string_or_bracket_may_not(
    text: bytes, begun: bytes | None, whole: bool
) -> None:
    partial = read_partial(text)
    assert (partial.begun, partial.whole) == (begun, whole)
