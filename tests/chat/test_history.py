import time
from typing import Any

import pytest

from openk2.chat import CanonicalHistory, canonical_history


def assistant(*calls: tuple[str, str]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "tool_calls": [
            {"id": old, "type": "function", "function": {"name": name, "arguments": "{}"}}
            for old, name in calls
        ],
    }


def result(old: str, **more: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": old, "content": "r", **more}


def ids(*messages: dict[str, Any]) -> list[str]:
    """All ids in order, calls and results."""
    found: list[str] = []
    for message in canonical_history(messages).messages:
        found += [call["id"] for call in message.get("tool_calls", [])]
        found += [message["tool_call_id"]] if "tool_call_id" in message else []
    return found


def test_ids_that_follow_the_running_counter_stay() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        assistant(("functions.a:0", "a"), ("functions.b:1", "b")),
        result("functions.a:0", name="a"),
        result("functions.b:1", name="b"),
        assistant(("functions.a:2", "a")),
    ]
    history = canonical_history(messages)
    assert history.messages == messages
    assert history.call_count == 3


def test_foreign_ids_are_renamed_with_their_results() -> None:
    assert ids(
        assistant(("call_x", "a.b"), ("toolu_1", "c")), result("toolu_1"), result("call_x")
    ) == ["functions.a.b:0", "functions.c:1", "functions.c:1", "functions.a.b:0"]


def test_counters_that_restart_each_turn_are_renumbered_by_order() -> None:
    turn = [assistant(("functions.a:0", "a")), result("functions.a:0")]
    assert ids(*turn, *turn) == ["functions.a:0"] * 2 + ["functions.a:1"] * 2


def test_results_with_one_repeated_id_answer_the_calls_in_order() -> None:
    messages = [assistant(("x", "a"), ("x", "b")), result("x"), result("x")]
    assert ids(*messages)[2:] == ["functions.a:0", "functions.b:1"]


def test_an_orphan_result_answers_the_oldest_unanswered_call() -> None:
    messages = [assistant(("x", "a"), ("y", "b")), result("x"), result("lost")]
    assert ids(*messages)[2:] == ["functions.a:0", "functions.b:1"]


def test_a_second_result_of_an_answered_call_keeps_to_it() -> None:
    messages = [assistant(("x", "a")), result("x"), result("x")]
    assert ids(*messages)[1:] == ["functions.a:0", "functions.a:0"]


def test_a_result_without_any_call_is_left_as_it_is() -> None:
    assert ids(result("x")) == ["x"]


def test_a_missing_name_is_filled_from_the_call_and_a_given_one_stays() -> None:
    history = canonical_history(
        [assistant(("x", "a"), ("y", "b")), result("y"), result("x", name="own")]
    )
    assert [message.get("name") for message in history.messages] == [None, "b", "own"]


def test_a_result_with_the_id_that_its_call_has_now_answers_it() -> None:
    messages = [assistant(("x", "a"), ("y", "b")), result("functions.b:1"), result("lost")]
    assert ids(*messages)[2:] == ["functions.b:1", "functions.a:0"]
    again = canonical_history([*messages, result("functions.a:0")]).messages
    assert again[-1]["name"] == "a"


@pytest.mark.parametrize("messages", [None, 5, "text", b"x", {"role": "user"}])
def test_what_is_no_list_of_messages_has_none(messages: Any) -> None:
    assert canonical_history(messages) == CanonicalHistory([], 0)


def test_the_callers_messages_are_not_changed() -> None:
    messages = [assistant(("x", "a")), result("x")]
    canonical_history(messages)
    assert messages == [assistant(("x", "a")), result("x")]


def test_malformed_messages_pass_through_for_the_renderer_to_report() -> None:
    bad: list[Any] = [
        "text",
        {"role": "assistant", "tool_calls": 5},
        {"role": "assistant", "tool_calls": [3, {"id": "x"}, {"function": {"name": 4}}]},
        {"role": "tool"},
        {"role": "tool", "tool_call_id": ["x"]},
    ]
    assert canonical_history(bad).messages == bad


def test_a_result_answers_the_oldest_call_of_its_id_that_still_waits() -> None:
    messages = [assistant(("x", "a"), ("y", "b")), result("lost"), assistant(("x", "c"))]
    assert ids(*messages, result("x"), result("x"), result("x"))[-3:] == [
        "functions.c:2",
        "functions.b:1",
        "functions.c:2",
    ]


def test_ids_that_are_not_text_are_matched_by_order() -> None:
    calls = {**assistant(("x", "a"), ("y", "b"))}
    for call, bad in zip(calls["tool_calls"], (None, ["z"]), strict=True):
        call["id"] = bad
    results: list[Any] = [{"role": "tool", "tool_call_id": bad} for bad in ({}, None)]
    assert ids(calls, *results)[2:] == ["functions.a:0", "functions.b:1"]


@pytest.mark.parametrize("kind", ["in reverse", "orphans"])
def test_a_history_of_thousands_of_calls_is_renamed_in_linear_time(kind: str) -> None:
    count = 30_000
    calls = [assistant((f"call_{i}", "a")) for i in range(count)]
    prefix = "call" if kind == "in reverse" else "lost"
    results = [result(f"{prefix}_{i}") for i in reversed(range(count))]
    began = time.process_time()
    renamed = canonical_history([*calls, *results]).messages
    assert time.process_time() - began < 5  # by the square it would be minutes
    last = 0 if kind == "in reverse" else count - 1
    assert renamed[-1]["tool_call_id"] == f"functions.a:{last}"
