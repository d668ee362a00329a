"""Tool ids: K2's form to Anthropic's and back, exactly, whatever a tool is called."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openk2.chat import call_id
from openk2.server.anthropic.ids import call_id_of, tool_use_id

names = st.text(st.characters(), min_size=1) | st.text("aA.-_:/é2d", min_size=1)


@given(names, st.integers(0, 10**9 - 1))
@example("get-time", 0)
@example("a:0", 1)
@example("mcp__files__read", 3)
@example("名前 \ud800", 0)
def test_an_id_comes_back_exactly_from_a_form_that_clients_take(name, number):
    k2 = call_id(name, number)
    shown = tool_use_id(k2)
    assert re.fullmatch("toolu_[a-zA-Z0-9_-]+", shown)
    assert call_id_of(shown) == k2


@given(st.text("aA-2d._", max_size=6), st.text("aA-2d._", max_size=6))
def test_two_ids_never_share_a_form(one, other):
    assert (tool_use_id(one) == tool_use_id(other)) == (one == other)


foreign_text = st.text("aA-46125dtol_u", max_size=6)


@given(foreign_text, foreign_text)
@example("toolu_-41", "toolu_A")
def test_ids_of_another_make_stay_apart(one, other):
    one, other = f"toolu_{one}", f"toolu_{other}"
    assert (call_id_of(one) == call_id_of(other)) == (one == other)


@pytest.mark.parametrize(
    "foreign", ["call_1", "toolu_-ff", "toolu_-4A", "toolu_-41", "toolu_é", ""]
)
def test_what_this_server_cannot_have_written_is_left_alone(foreign):
    assert call_id_of(foreign) == foreign
