"""Short answers match an alias as a whole, after TriviaQA's normalization, or not at all."""

import pytest

from openk2.eval.answers.short import same_short, short_answer

ALIASES = [
    "Sinclair Lewis",
    "Harry Sinclair Lewis",
    "The Beatles",
    "7 & 3",
    "St. John's",
    "Ægir",
    "1945",
    "U.S.A.",
]
RIGHT = [
    " Sinclair Lewis",
    "sinclair lewis",
    "SINCLAIR LEWIS.",
    "Sinclair  Lewis\n\nQuestion: next?",
    "The Sinclair Lewis",
    "'Sinclair Lewis'",
    "Sinclair Lewis!",
    "Sinclair-Lewis",
    "Sinclair_Lewis",
    "“Sinclair Lewis”".translate({8220: '"', 8221: '"'}),
    "Harry Sinclair Lewis",
    "harry sinclair lewis,",
    "Beatles",
    "the beatles",
    "The Beatles.",
    "A Beatles",
    "(The) Beatles",
    "7 & 3",
    "7 3",
    "7, 3",
    "St John's",
    "St. John s",
    "St. John's",
    "st john’s",
    "Ægir",
    "ægir",
    "1945",
    "1945.",
    " 1945 \n",
    "\n\n1945\n",
    "u.s.a.",
    "U S A",
    "U. S. A.",
    "*1945*",
    "`1945`",
    "Sinclair Lewis\nAnswer: other",
    "[Beatles]",
    "The, Beatles",
    "sinclair lewis;",
    "Sinclair\tLewis",
]
WRONG = [
    "",
    " ",
    "\n",
    "the",
    ".",
    "Lewis",
    "Sinclair",
    "Lewis Sinclair",
    "Sinclair Lewis Jr",
    "Upton Sinclair",
    "Sinclair Lewis or Upton Sinclair",
    "It was Sinclair Lewis",
    "Sinclair  Luis",
    "Beetles",
    "The Beatle",
    "Beatles band",
    "73",
    "7",
    "3 7",
    "7 and 3",
    "St John",
    "Saint John's",
    "Aegir",
    "gir",
    "1946",
    "19 45",
    "1945 1945",
    "in 1945",
    "1,945",
    "nineteen forty-five",
    "USA",
    "US",
    "America",
    "I don't know",
    "unknown\nSinclair Lewis",
    "Question: Sinclair Lewis",
    "Answer",
    "Harry Lewis",
    "SinclairLewis",
    "not 1945",
]


@pytest.mark.parametrize("text", RIGHT)
def test_an_alias_counts_however_it_is_written(text: str) -> None:
    assert same_short(short_answer(text), ALIASES)


@pytest.mark.parametrize("text", WRONG)
def test_another_answer_does_not_count(text: str) -> None:
    assert not same_short(short_answer(text), ALIASES)


def test_there_are_forty_of_each() -> None:
    assert min(len(RIGHT), len(WRONG)) >= 40
