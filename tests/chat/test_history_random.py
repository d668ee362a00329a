"""10,000 random histories, half of them with anything anywhere."""

import copy
import random
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from openk2.chat import RenderError, canonical_history, render

HISTORIES = 10_000
NAMES = ["search", "restaurant.find_group", "mcp-files:read", "工具"]
OLD_IDS = [
    "functions.search:0", "functions.search:1", "functions.mcp-files:read:1", "call_8f", "toolu_1",
    "search:0", "0", "", "functions.工具:2",
]  # fmt: skip
ANYTHING: list[Any] = [
    None, True, 0, -1.5, "", "x", b"x", [], ["x"], {}, {"a": 1}, [[]], ("x",), {"text": "x"},
    "assistant", "tool",
]  # fmt: skip


class Histories:
    """Draws histories from one seeded source. hostile: how often a value is just anything."""

    def __init__(self, seed: int, hostile: float) -> None:
        self.random = random.Random(seed)
        self.hostile = hostile

    def history(self) -> Any:
        return self.perhaps([self.message() for _ in range(self.random.randrange(9))])

    def perhaps(self, value: Any) -> Any:
        hostile = self.random.random() < self.hostile
        return copy.deepcopy(self.random.choice(ANYTHING)) if hostile else value

    def message(self) -> Any:
        role = self.random.choice(["user", "assistant", "assistant", "tool", "tool"])
        message: dict[str, Any] = {"role": self.perhaps(role)}
        message["content"] = self.perhaps(self.random.choice(["text", None, []]))
        if role == "assistant" and self.random.random() < 0.8:
            calls = [self.perhaps(self.call()) for _ in range(self.random.randrange(4))]
            message["tool_calls"] = self.perhaps(calls)
        if role == "tool":
            message["tool_call_id"] = self.perhaps(self.random.choice(OLD_IDS))
            if self.random.random() < 0.3:
                message["name"] = self.perhaps(self.random.choice(NAMES))
        return self.perhaps(message)

    def call(self) -> dict[str, Any]:
        function = {"name": self.perhaps(self.random.choice(NAMES)), "arguments": "{}"}
        old_id = self.perhaps(self.random.choice(OLD_IDS))
        return {"id": old_id, "type": "function", "function": self.perhaps(function)}


def named_calls(message: Any) -> Iterator[tuple[Any, str]]:
    """(id, name) of the calls of one message that name a function."""
    calls = message.get("tool_calls") if isinstance(message, Mapping) else None
    if not isinstance(calls, list | tuple) or message.get("role") != "assistant":
        return
    for call in calls:
        function = call.get("function") if isinstance(call, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if isinstance(name, str) and name:
            yield call.get("id"), name


def without_ids(message: Any) -> Any:
    """The message without what renaming may change."""
    if not isinstance(message, Mapping):
        return message
    kept = {key: value for key, value in message.items() if key not in ("tool_call_id", "name")}
    if message.get("role") != "tool":
        kept = dict(message)
    calls = kept.get("tool_calls")
    if isinstance(calls, list | tuple) and message.get("role") == "assistant":
        kept["tool_calls"] = [
            {**call, "id": None} if [*named_calls({**message, "tool_calls": [call]})] else call
            for call in calls
        ]
    return kept


def check(messages: list[Any]) -> None:
    """The invariants of one history, found without the code under test."""
    before = copy.deepcopy(messages)
    history = canonical_history(messages)
    assert messages == before
    assert canonical_history(history.messages) == history
    assert [*map(without_ids, history.messages)] == [*map(without_ids, messages)]
    names: dict[str, str] = {}
    for old, new in zip(messages, history.messages, strict=True):
        for new_id, name in named_calls(new):
            assert new_id == f"functions.{name}:{len(names)}"
            names[new_id] = name
        if isinstance(new, Mapping) and new.get("role") == "tool":
            assert new == old or new["tool_call_id"] in names
            if isinstance(new.get("tool_call_id"), str) and new["tool_call_id"] in names:
                assert new["name"] == (old.get("name") or names[new["tool_call_id"]])
    assert history.call_count == len(names)


@pytest.mark.parametrize("hostile", [0.0, 0.1])
def test_random_histories_are_renamed_by_the_running_counter_and_only_once(hostile: float) -> None:
    histories = Histories(6, hostile)
    calls = rendered = 0
    for _ in range(HISTORIES // 2):
        messages = histories.history()
        if not isinstance(messages, list):
            assert canonical_history(messages).call_count == 0
            continue
        check(messages)
        history = canonical_history(messages)
        calls += history.call_count
        try:
            rendered += len(render(history.messages)) > 0
        except RenderError:
            assert hostile or not messages or any(m.get("tool_call_id") == "" for m in messages)
    assert calls > HISTORIES // 4
    assert rendered > HISTORIES // 20


def test_every_result_behind_enough_calls_carries_the_id_of_one_of_them() -> None:
    source = random.Random(7)
    for _ in range(500):
        count = source.randrange(1, 6)
        calls = [
            {"id": source.choice(OLD_IDS), "function": {"name": source.choice(NAMES)}}
            for _ in range(count)
        ]
        results = [{"role": "tool", "tool_call_id": call["id"]} for call in calls]
        source.shuffle(results)
        for result in results:
            if source.random() < 0.2:
                result["tool_call_id"] = "lost"
        renamed = canonical_history([{"role": "assistant", "tool_calls": calls}, *results]).messages
        expected = {
            f"functions.{call['function']['name']}:{i}": call["function"]["name"]
            for i, call in enumerate(calls)
        }
        assert {m["tool_call_id"]: m["name"] for m in renamed[1:]} == expected
