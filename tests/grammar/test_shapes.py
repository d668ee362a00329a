"""What the shape of an object says of further keys."""

import pytest

from openk2.grammar.shapes import ObjectShape, StringShape

ANY_KEY = ((StringShape(), 0),)


@pytest.mark.parametrize(
    ("extras", "most", "open_"),
    [(ANY_KEY, None, True), (ANY_KEY, 2, True), (ANY_KEY, 0, False), ((), None, False)],
)
def test_further_keys_may_occur_if_some_look_right_and_one_is_allowed(
    extras: tuple[tuple[StringShape, int], ...], most: int | None, open_: bool
) -> None:
    assert ObjectShape((), frozenset(), extras, max_extra=most).open is open_
