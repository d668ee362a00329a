"""Numbers are written whole: long ids, small and large powers, exactly up to a bound."""

import json
from typing import Any

import pytest

from openk2.chat import Tokenizer
from openk2.grammar import Enforcer, JsonContent

INTEGER, NUMBER = {"type": "integer"}, {"type": "number"}


def writable(enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, text: str) -> bool:
    """Whether a mask leads through the text to the end of the value."""
    mask = enforcer.mask(JsonContent(schema), max_tokens=999)
    try:
        for byte in text.encode():
            mask.accept(tokenizer.tokens.index(bytes([byte])))
        mask.accept(min(tokenizer.stop_ids))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("schema", "texts"),
    [
        (INTEGER, ["1234567890123456789", "-1234567890123456789", "9" * 40]),
        ({**INTEGER, "minimum": 1}, ["1234567890123456789", "9" * 40]),
        ({**INTEGER, "maximum": -1}, ["-1234567890123456789"]),
        ({**INTEGER, "minimum": -(2**63), "maximum": 2**63 - 1}, [f"{2**63 - 1}", f"{-(2**63)}"]),
        ({**INTEGER, "minimum": 0, "maximum": 2**64 - 1}, [f"{2**64 - 1}", "0"]),
        ({"enum": [1234567890123456789, 2**64]}, ["1234567890123456789", f"{2**64}"]),
        (NUMBER, ["1e-5", "6.022e23", "-1E+9", "0.5", "1234567890123456789.5", "9" * 40]),
        ({**NUMBER, "minimum": 0}, ["1e-5", "6.022e23", "0", "12345678901234567890"]),
        ({**NUMBER, "minimum": 0.5}, ["0.5", "1234567890123456789.25"]),
        ({**NUMBER, "maximum": 2}, ["2", "-1234567890123456789.25"]),
        ({**NUMBER, "minimum": -1e22, "maximum": 1e18}, ["1" + "0" * 18, "-1" + "0" * 22, "1.5"]),
        (
            {**NUMBER, "minimum": 2e16, "maximum": 3e16},
            ["20000000000000000", "20000000000000000.5"],
        ),
        ({**NUMBER, "minimum": -1e300, "maximum": 1e300}, ["-" + "9" * 40, "9" * 40, "0.25"]),
    ],
)
def test_a_long_number_can_be_written(
    enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, texts: list[str]
) -> None:
    for text in texts:
        assert json.loads(text) not in (float("inf"), float("-inf"))
        assert writable(enforcer, tokenizer, schema, text), text


@pytest.mark.parametrize(
    ("schema", "texts"),
    [
        (INTEGER, ["1" * 41, "01", "-0", "1e5", "1.0"]),
        ({**INTEGER, "minimum": 1}, ["0", "-12345678901234567890"]),
        ({**INTEGER, "minimum": -(2**63), "maximum": 2**63 - 1}, [f"{2**63}", f"{-(2**63) - 1}"]),
        ({**INTEGER, "minimum": 0, "maximum": 2**64 - 1}, [f"{2**64}", "-1"]),
        (NUMBER, ["1" * 41, "01", "-0", "1e100", "1e", "1e+", ".5", "1.", "1.e5"]),
        ({**NUMBER, "minimum": 0}, ["-1", "-0.5", "-1e-5"]),
        ({**NUMBER, "minimum": 0.5}, ["0.49", "1e-5", "-12345678901234567890"]),
        ({**NUMBER, "minimum": -1e22, "maximum": 1e18}, [f"{10**18 + 1}", f"{-(10**22) - 1}"]),
        ({**NUMBER, "minimum": 2e16, "maximum": 3e16}, [f"{2 * 10**16 - 1}", f"{3 * 10**16}.5"]),
    ],
)
def test_what_is_no_number_or_out_of_bounds_cannot_be_written(
    enforcer: Enforcer, tokenizer: Tokenizer, schema: Any, texts: list[str]
) -> None:
    for text in texts:
        assert not writable(enforcer, tokenizer, schema, text), text
