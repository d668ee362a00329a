"""The token limit over a course whose every length is known."""

import numpy as np
import pytest

from openk2.chat import Tokenizer
from openk2.grammar.course import BoundedMask
from openk2.grammar.course.bounded import MAX_NESTING
from openk2.grammar.matcher import MaskWords, TokenVocabulary

GROW, CLOSE, STOP = 1, 2, 3


class Stack:
    """Each GROW owes a CLOSE, and the end a STOP; the bounds are as loose as a test wants."""

    def __init__(self, slack: int = 0, *, free: bool = False, lost: bool = False) -> None:
        self.slack, self.free, self.lost = slack, free, lost
        self.taken: list[int] = []
        self.forgone = 0
        self.computed = 0

    @property
    def depth(self) -> int:
        return self.taken.count(GROW) - self.taken.count(CLOSE)

    @property
    def owing(self) -> bool:
        return not self.free or self.depth > 0

    @property
    def opened(self) -> int:
        return self.taken.count(GROW)

    def fill(self, words: MaskWords) -> None:
        words[:] = 0
        words[0] = 1 << GROW | 1 << CLOSE

    def take(self, token_id: int) -> None:
        self.taken.append(token_id)

    def undo(self) -> None:
        self.taken.pop()

    def bound(self) -> int:
        return self.depth + 1 + self.slack

    def growth(self, opened: int) -> int:
        return self.opened - opened + self.slack

    def closing(self) -> list[int] | None:
        self.computed += 1
        return None if self.lost else [CLOSE] * self.depth + [STOP]

    def remainder(self) -> str | None:
        return "start: v0"

    def forgo(self) -> None:
        self.forgone += 1


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> TokenVocabulary:
    return TokenVocabulary(tokenizer)


@pytest.mark.parametrize("slack", [0, 3, 1000])
@pytest.mark.parametrize("limit", [3, 4, 9, 10])
def test_it_grows_as_long_as_it_can_be_closed_and_not_one_token_longer(
    vocabulary: TokenVocabulary, limit: int, slack: int
) -> None:
    course = Stack(slack)
    mask = BoundedMask(vocabulary, course, limit)
    words = np.full(vocabulary.words + 1, -1, dtype=np.int32)
    while mask.accept(GROW):
        assert mask.remainder() == "start: v0"
        mask.fill(words)
        assert (words[0], words[-1]) == (1 << GROW | 1 << CLOSE, 0)
    # Each costs two tokens, and the stop one.
    assert course.taken == [GROW] * ((limit - 1) // 2)
    for token_id in [CLOSE] * course.depth + [STOP]:
        assert mask.remainder() is None
        mask.fill(words)
        assert words[0] == 1 << token_id
        assert not words[1:].any()
        with pytest.raises(ValueError, match="which closes"):
            mask.accept(GROW)
        assert mask.accept(token_id)
    assert len(course.taken) in (limit, limit - 1)


def test_an_end_is_computed_only_where_no_bound_tells(vocabulary: TokenVocabulary) -> None:
    course = Stack(slack=2)
    mask = BoundedMask(vocabulary, course, 100)
    for _ in range(48):
        assert mask.accept(GROW)
    assert course.computed == 0
    assert mask.accept(GROW)
    assert course.computed == 1
    loose = Stack(slack=500)
    mask = BoundedMask(vocabulary, loose, 600)
    for _ in range(50):
        mask.accept(GROW)
    assert loose.computed == 1  # the rest is told by what has grown since


def test_what_is_too_deep_is_refused_however_many_tokens_are_left(
    vocabulary: TokenVocabulary,
) -> None:
    course = Stack()
    mask = BoundedMask(vocabulary, course, 10_000)
    for _ in range(MAX_NESTING):
        assert mask.accept(GROW)
    assert not mask.accept(GROW)
    assert course.depth == MAX_NESTING


def test_what_need_not_be_opened_is_given_up_if_it_would_not_fit(
    vocabulary: TokenVocabulary,
) -> None:
    course = Stack(free=True)
    mask = BoundedMask(vocabulary, course, 2)
    assert not mask.accept(GROW)
    assert (course.forgone, course.taken) == (1, [])
    assert mask.accept(STOP)


def test_without_a_known_end_the_output_goes_on(vocabulary: TokenVocabulary) -> None:
    course = Stack(slack=9, lost=True)
    mask = BoundedMask(vocabulary, course, 4)
    for _ in range(3):
        assert mask.accept(GROW)
    assert course.taken == [GROW] * 3
