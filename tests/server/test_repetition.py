"""When a conversation repeats its calls, and when it does not."""

import time

import pytest

from openk2.server.repetition import REPEATED, repeated_turns, repetition_headers

HI = {"role": "user", "content": "hi"}
SEEN = {"role": "tool", "tool_call_id": "x", "content": "4"}


def turn(*arguments: object, **fields: object) -> dict[str, object]:
    calls = [{"id": f"c{i}", "function": {"name": "f", "arguments": a}}
             for i, a in enumerate(arguments)]  # fmt: skip
    return {"role": "assistant", "content": "", "tool_calls": calls, **fields}


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([], 0),
        ([HI], 0),
        ([HI, turn("{}"), SEEN], 1),
        ([HI, *[turn("{}"), SEEN] * 5], 5),
        ([HI, *[turn("{}"), SEEN] * 5, turn('{"a": 1}'), SEEN], 1),
        ([HI, turn("{}", "{}"), SEEN, SEEN, turn("{}"), SEEN], 1),
        ([HI, *[turn("1", "2"), SEEN, SEEN] * 3], 3),
        ([HI, turn("1", "2"), SEEN, SEEN, turn("2", "1"), SEEN, SEEN], 1),
        ([HI, *[turn("{}"), SEEN] * 4, HI], 0),
        ([HI, *[turn("{}"), SEEN] * 4, {"role": "assistant", "content": "so"}, HI], 0),
        ([HI, turn("{}"), SEEN, HI, turn("{}"), SEEN], 1),
        ([HI, *[turn({"a": 1}, reasoning_content=str(n)) for n in range(3)]], 3),
        ([7, None, {"role": "assistant", "tool_calls": 7}], 0),
        ([HI, turn("{}", tool_calls=[None, {"function": 7}])], 0),
    ],
)
def test_turns_with_the_same_calls_are_counted(messages, turns) -> None:
    assert repeated_turns(messages) == turns
    counted: list[None] = []
    headers = repetition_headers(messages, lambda: counted.append(None))
    assert len(counted) == (turns >= REPEATED)
    assert headers == ({"X-Repeated-Tool-Calls": str(turns)} if turns >= REPEATED else {})


def test_a_history_of_many_calls_is_compared_in_a_moment() -> None:
    """Nine turns of the ten thousand calls that a message may hold: nobody waits for them."""

    def calls() -> list[object]:
        return [{"function": {"name": "f", "arguments": {"place": i}}} for i in range(10_000)]

    messages = [{"role": "assistant", "tool_calls": calls()} for _ in range(9)]
    began = time.process_time()
    assert repeated_turns(messages) == 9
    assert time.process_time() - began < 1
