import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from openk2.record import printable

COMMANDS = ["\x1b[31m", "\x07", "\u202e", "\x9b2J", "\x00", "\x08", "\x7f", "\u2066", "\u2028"]


def test_commands_are_spelt() -> None:
    assert printable("a\x1b]0;x\x07b\u202ec\x9bd") == "a\\u001b]0;x\\u0007b\\u202ec\\u009bd"


def test_text_of_every_script_passes() -> None:
    text = "líneas\n\tund 北京, مرحبا שלום, 🌧️👩‍👩‍👧, e\u0301"
    assert printable(text) == text
    assert printable("two\r\nlines\r") == "two\nlines"


@given(st.lists(st.sampled_from([*COMMANDS, "a", "\n", "\r", '"', "\\"]) | st.text()).map("".join))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE",
                "PDF", "RLI", "LRI", "FSI", "PDI")]  # fmt: skip
    assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text
