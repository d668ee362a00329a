from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat.call_ids import (
    CallName,
    argument_names,
    call_id,
    name_from_arguments,
    read_call_id,
)

TOOLS = ["search", "bash", "restaurant.find_group", "mcp-server:read-file", "get_2"]


@pytest.mark.parametrize(
    ("text", "name", "number"),
    [
        ("functions.search:0", "search", 0),
        ("functions.restaurant.find_group:12", "restaurant.find_group", 12),
        ("functions.mcp-server:read-file:3", "mcp-server:read-file", 3),
        ("search:2", "search", 2),
        ("search", "search", None),
        ("functions.search", "search", None),
        ("functions.bash30", "bash", 30),
        ("functions_search_0", "search", 0),
        ("function.search:4", "search", 4),
        ("functions.sea\nrch:0", "search", 0),
        (" functions.search : 1\n", "search", 1),
        ("functions.get_2:7", "get_2", 7),
        ("3", None, 3),
        ("functions:3", None, 3),
    ],
)
def test_ids_are_read_onto_the_declared_tool(text: str, name: str | None, number: int) -> None:
    assert read_call_id(text, TOOLS) == CallName(name, number)


@pytest.mark.parametrize(
    "text", ["", "other:0", "functions.other:0", "functions.", "searching:0", "a3", "9" * 5000]
)
def test_ids_of_undeclared_tools_are_not_read(text: str) -> None:
    assert read_call_id(text, TOOLS) is None


def test_exactly_one_prefix_is_stripped() -> None:
    assert read_call_id("functions.functions.f:0", ["functions.f", "f"]) == CallName(
        "functions.f", 0
    )


def test_an_exact_match_with_a_declared_name_wins_over_stripping() -> None:
    assert read_call_id("a:0", ["a", "a:0"]) == CallName("a:0", None)
    assert read_call_id("functions.f", ["functions.f", "f"]) == CallName("functions.f", None)


def test_a_mangled_id_that_fits_two_tools_is_not_read() -> None:
    assert read_call_id("functions.bash30", ["bash", "bash3"]) is None


@given(
    st.text(min_size=1).map(lambda text: "".join(text.split())).filter(bool), st.integers(0, 999)
)
def test_canonical_ids_of_any_name_are_read_back(name: str, number: int) -> None:
    assert read_call_id(call_id(name, number), [name, "other"]) == CallName(name, number)


def test_argument_keys_place_a_call_only_when_one_tool_fits_best() -> None:
    tools: list[dict[str, Any]] = [
        {"function": {"name": "a", "parameters": {"properties": {"x": {}, "y": {}}}}},
        {"function": {"name": "b", "parameters": {"properties": {"x": {}, "z": {}}}}},
        {"function": {"name": "c"}},
        {"function": {"name": "d", "parameters": {"properties": None}}},
    ]
    names = argument_names(tools)
    assert names == {"a": {"x", "y"}, "b": {"x", "z"}, "c": frozenset(), "d": frozenset()}
    assert name_from_arguments({"x", "z"}, names) == "b"
    assert name_from_arguments({"x"}, names) is None
    assert name_from_arguments({"q"}, names) is None
    assert name_from_arguments((), names) is None
