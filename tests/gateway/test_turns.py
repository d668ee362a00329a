"""By which names a turn is found again, whatever its client did to it and around it."""

import json
from copy import deepcopy

import pytest

from openk2.gateway.turns import MOST_VALUES, TurnNames, argument_bytes

CALLS = [
    {"id": "functions.look:0", "type": "function",
     "function": {"name": "look", "arguments": '{"a": 1.0, "b": {"c": "雪"}}'}},
    {"id": "functions.look:1", "type": "function",
     "function": {"name": "look", "arguments": "{}"}},
]  # fmt: skip
TURN = {"role": "assistant", "content": "I look.", "tool_calls": CALLS}
BEFORE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where?"},
    {"role": "assistant", "content": "There.", "reasoning_content": "hm"},
    {"role": "user", "content": "And now?"},
]


def names(turn=TURN, before=BEFORE, tenant="a"):
    reader = TurnNames(tenant)
    for message in before:
        reader.read(message)
    return reader.of(turn)


def changed(turn=TURN, **fields):
    return {**deepcopy(turn), **fields}


def with_calls(**fields):
    calls = [{**call, **fields} for call in deepcopy(CALLS)]
    return changed(tool_calls=calls)


SAME = {
    "foreign ids": changed(tool_calls=[{**CALLS[0], "id": "call_1"}, {**CALLS[1], "id": "x"}]),
    "a list as content": changed(content=[{"type": "text", "text": "I look.\n"}]),
    "its reasoning": changed(reasoning_content="because"),
    "arguments written anew": changed(tool_calls=[
        {**CALLS[0], "function": {"name": "look", "arguments": '{"b":{"c":"\\u96ea"},"a":1}'}},
        {**CALLS[1], "function": {"name": "look", "arguments": ""}}]),
    "arguments as an object": changed(tool_calls=[
        {**CALLS[0], "function": {"name": "look", "arguments": {"b": {"c": "雪"}, "a": 1}}},
        CALLS[1]]),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_the_same_turn_has_the_same_certain_name(kind) -> None:
    assert names(SAME[kind])[0] == names()[0]


OTHER = {
    "another text": changed(content="I look!"),
    "another argument": changed(tool_calls=[
        {**CALLS[0], "function": {"name": "look", "arguments": '{"a": 2}'}}, CALLS[1]]),
    "calls the other way round": changed(tool_calls=CALLS[::-1]),
    "one call": changed(tool_calls=CALLS[:1]),
    "the same bytes divided otherwise": changed(content="I look.l", tool_calls=[
        {**CALLS[0], "function": {**CALLS[0]["function"], "name": "ook"}}, CALLS[1]]),
    "text that looks like a call": changed(content='I look.look{"a":1}', tool_calls=None),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER)
def test_another_turn_has_other_certain_names(kind) -> None:
    assert names(OTHER[kind])[0] != names()[0]


@pytest.mark.parametrize(
    "before",
    [
        [{"role": "system", "content": "Be brief. It is Monday."}, *BEFORE[1:]],
        BEFORE[3:],
        [*BEFORE[:2], {"role": "assistant", "content": "[cut]"}, BEFORE[3]],
        [*BEFORE[:3], {"role": "user", "content": "[cut]"}],
    ],
)
def test_a_shortened_or_changed_beginning_leaves_a_name(before) -> None:
    assert set(names()[1:]) & set(names(before=before)[1:])
    assert names()[0] != names(before=before)[0]


def test_a_turn_without_its_text_is_found_by_the_ids_of_its_calls() -> None:
    assert set(names()[1:]) & set(names(changed(content=None)))
    foreign = with_calls(id="x")
    assert not set(names()) & set(names({**foreign, "content": None}))


def test_no_name_is_shared_by_tenants_or_by_conversations_that_have_nothing_in_common() -> None:
    assert not set(names(tenant="a")) & set(names(tenant="b"))
    elsewhere = [{"role": "user", "content": "Hello"}, {"role": "user", "content": "Look!"}]
    assert not set(names()) & set(names(before=elsewhere))


def test_malformed_turns_have_names_too() -> None:
    deep = json.loads("[" * 90 + "]" * 90)
    for turn in (
        {"role": "assistant"},
        changed(tool_calls=7),
        changed(tool_calls=[None, {"function": None}, {"id": 3, "function": {"name": []}}]),
        with_calls(function={"name": "\ud800", "arguments": "{\ud800"}),
        with_calls(function={"name": "f", "arguments": {"a": deep, "b": float("nan")}}),
        changed(content=[{"type": "text"}, 3, {"text": 4}]),
    ):
        assert len(names(turn)) >= 3
        assert all(len(name) == 32 for name in names(turn))


def test_arguments_with_too_many_values_are_compared_as_text() -> None:
    many = "[" + ", ".join(["[]"] * MOST_VALUES) + "]"
    assert argument_bytes(f" {many} ") == many.encode()
    few = "[" + ", ".join(["[]"] * 100) + "]"
    assert argument_bytes(few) == argument_bytes(few.replace(" ", ""))
