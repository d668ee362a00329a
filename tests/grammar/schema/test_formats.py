"""A known format has the strings of its standard and no others."""

import pytest

from openk2.grammar.schema.formats import format_pattern
from openk2.grammar.schema.patterns import found

LONG = "a" * 63
VALID = {
    "hostname": [
        "a",
        "a1",
        "a-b",
        "ab-c",
        "a--b",
        "x.y-z.com",
        f"{LONG}.de",
        ".".join(["ab"] * 84),
    ],
    "email": ["a@b", "a.b+c@d-e.org"],
    "uri": ["http://a.b/c?d#e", "urn:x:y"],
}
INVALID = {
    "hostname": [
        "",
        "-a",
        "a-",
        "a..b",
        f"{LONG}a",
        "xn--x",
        "ab--c",
        "a_b",
        ".".join(["ab"] * 85),
    ],
    "email": ["a", "a@", "@b", "a@b_c", "a..b@c", "a@xn--x"],
    "uri": ["a b:c", "//a", "http://[::1", "%zz"],
}


def holds(name: str, text: str) -> bool:
    pattern = format_pattern(name)
    assert pattern is not None
    return found(pattern, text)


@pytest.mark.parametrize("name", VALID)
def test_what_the_standard_allows_and_nothing_else(name: str) -> None:
    assert [text for text in VALID[name] if not holds(name, text)] == []
    assert [text for text in INVALID[name] if holds(name, text)] == []


def test_a_format_that_is_not_known_is_an_annotation() -> None:
    assert format_pattern("idn-hostname") is None
