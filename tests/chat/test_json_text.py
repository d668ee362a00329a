"""Where JSON text ends, piece by piece, and what it is once it is complete."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat.json_text import JsonState, advance_json, is_json_object, json_keys


def plainly(text: str) -> JsonState:
    state = JsonState.OUTSIDE
    for letter in text:
        if state is JsonState.OUTSIDE:
            state = JsonState.STRING if letter == '"' else state
        elif state is JsonState.ESCAPE:
            state = JsonState.STRING
        elif letter == '"':
            state = JsonState.OUTSIDE
        elif letter == "\\":
            state = JsonState.ESCAPE
    return state


@given(st.text('a"\\{', max_size=30), st.data())
def test_the_state_is_that_of_a_walk_letter_by_letter(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    assert advance_json(plainly(text[:start]), text, start, end) is plainly(text[:end])


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ('{"a":1,"b":{"c":2}}', {"a", "b"}),
        ("{}", set()),
        ("[1]", set()),
        ("null", set()),
        ("1" * 5000, set()),
        ("", None),
        ('{"a":1', None),
        ("{'a':1}", None),
        ('{"a":NaN}', None),
        ('{"a":Infinity}', None),
        ("[" * 100_000, None),
    ],
)
def test_keys_are_those_of_an_object_and_none_means_no_json(text: str, keys: Any) -> None:
    assert json_keys(text) == keys


@given(st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner, max_size=2)))
def test_only_an_object_is_one(value: Any) -> None:
    assert not is_json_object(json.dumps(value))
    assert is_json_object(json.dumps({"a": value}))
    assert not is_json_object(json.dumps({"a": value}) + " ")
    assert not is_json_object(json.dumps({"a": value})[:-1])
    assert not is_json_object("{" + json.dumps(value) + "}")
