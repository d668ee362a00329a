"""The time of parsing is linear in the output, whatever a model writes and however it is cut."""

import time

import pytest

from openk2.chat import OutputParser

CALL = "<|tool_call_begin|>functions.bash:0<|tool_call_argument_begin|>"
LENGTH = 200_000
# Copying is so fast that it shows only at this length.
SPACE = " " * (4 * LENGTH)
OUTPUTS = {
    "angle brackets": "<" * LENGTH,
    "beginnings of markers": "<|tool_call" * (LENGTH // 11),
    "shapes of markers": "<|im_start|>" * (LENGTH // 12),
    "orphan markers": "a<|tool_call_end|>" * (LENGTH // 18),
    "white space": "<|tool_calls_section_end|>" + SPACE,
    "a long name": "<|" + "a" * LENGTH,
    "a long id": "<|tool_call_begin|>" + "f" * LENGTH,
    "a long string": CALL + '{"a": "' + "x" * LENGTH + '"}',
    "markers in a string": CALL + '{"a": "' + "<|tool_call_end|>" * (LENGTH // 17) + '"}',
    "beginnings in a string": CALL + '{"a": "' + "<|tool_call" * (LENGTH // 11) + '"}',
    "strings that quote": CALL + '{"a": "<|tool_call_end|>", ' * (LENGTH // 28),
    "strings that break off": (CALL + '{"a": "x<|tool_call_end|>') * (LENGTH // 90),
    "strings that seem to break off": CALL + ('\\"<|tool_call_end|>' + CALL) * (LENGTH // 90),
    "strings and brackets": CALL + '["<", ' * (LENGTH // 6),
    "backslashes": CALL + '{"a": "' + "\\" * LENGTH,
    "white space behind arguments": CALL + "{}" + SPACE,
}


def seconds(text: str, step: int) -> float:
    """Process time of parsing the text in pieces of `step` characters."""
    parser = OutputParser(None, ["bash"])
    began = time.process_time()
    for start in range(0, len(text), step):
        parser.feed_text(text[start : start + step])
    parser.finish()
    return time.process_time() - began


@pytest.mark.parametrize("step", [1, 100, LENGTH * 2])
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_character_costs_the_same_in_a_long_output(name: str, step: int) -> None:
    text = OUTPUTS[name]
    # Short plain outputs, a character at a time, are the measure: linear work is thrice that at
    # most, copying or scanning all of it for every piece nine times or more.
    for _ in range(3):
        plain = sum(seconds("x" * 1000, 1) for _ in range(20)) / 20_000
        cost = seconds(text, step) / len(text)
        if cost < 6 * plain:
            return
    raise AssertionError(f"{cost / plain:.1f} times a plain character")
