"""A megabyte of anything is read in seconds, without an exception."""

import time
from collections.abc import Callable

import pytest

from openk2.eval.answers.choices import choice_answer
from openk2.eval.answers.instructions import CHECKS, follows
from openk2.eval.answers.json_objects import last_object
from openk2.eval.answers.judged import criterion_verdict, exam_verdict, fact_verdict
from openk2.eval.answers.math import math_answer, same_math
from openk2.eval.answers.numbers import number_answer, same_number
from openk2.eval.answers.scoring import Answered
from openk2.eval.answers.short import same_short, short_answer

SIZE = 2**20
JUNK = [
    " ",
    "\n",
    "a",
    "A ",
    "A. ",
    "1",
    "1,",
    "1 ",
    "-",
    ".",
    "$",
    "$ ",
    "\\",
    "{",
    "}",
    "\\boxed{",
    "\\boxed{1} ",
    "\\frac{",
    "\\(",
    "\\[",
    "**",
    "* ",
    "(",
    "[",
    "<<",
    ">>",
    "[[",
    "answer",
    "the answer is ",
    "the answer is A ",
    "answer: ",
    "option ",
    "答案",
    "答案是",
    "选",
    "A选",
    "一",
    "亿",
    "百分之",
    '"solution"',
    '{"solution"',
    '{"solution": [',
    "\\text{",
    "####",
    "#### ",
    "correct: ",
    "CORRECT",
    "<think>",
    "</think>",
    "a.b",
    "Mr. ",
    "U.S. A",
    "\u2028",
    "\x00",
    "\ud83d\ude00",
    "é",
    "'",
    '"',
    "…",
    "a=b",
    "e9",
    "1e9 ",
]


def numbers(text: str) -> bool:
    return same_number(number_answer(text), "1")


def formulas(text: str) -> bool:
    return same_math(math_answer(text), "1")


def shorts(text: str) -> bool:
    return same_short(short_answer(text), ["x"])


def objects(text: str) -> object:
    return last_object(text, "solution")


def verdicts(text: str) -> object:
    return (
        fact_verdict(text),
        exam_verdict(text),
        criterion_verdict(text, Answered("", [], {"pass_criteria": "YES"})),
    )


@pytest.mark.parametrize("rule", [choice_answer, numbers, formulas, shorts, objects, verdicts])
@pytest.mark.slow
def test_a_megabyte_takes_seconds(rule: Callable[[str], object]) -> None:
    for junk in JUNK:
        text = (junk * (SIZE // len(junk) + 1))[:SIZE]
        started = time.process_time()
        rule(text)
        assert time.process_time() - started < 5, junk


ARGUMENTS = {
    "keywords": ["a"],
    "keyword": "a",
    "forbidden_words": ["b"],
    "frequency": 2,
    "relation": "at least",
    "letter": "a",
    "let_relation": "less than",
    "let_frequency": 3,
    "num_sentences": 2,
    "num_paragraphs": 2,
    "num_words": 3,
    "nth_paragraph": 1,
    "first_word": "a",
    "num_placeholders": 1,
    "postscript_marker": "P.S.",
    "num_bullets": 2,
    "num_highlights": 2,
    "section_spliter": "Section",
    "num_sections": 2,
    "prompt_to_repeat": "a",
    "end_phrase": "a",
    "capital_relation": "at least",
    "capital_frequency": 2,
    "language": "en",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_an_instruction_is_checked_in_seconds(kind: str) -> None:
    if "language" in kind or "english" in kind:
        pytest.importorskip("langdetect")
    for junk in JUNK:
        text = (junk * (2**17 // len(junk) + 1))[: 2**17]
        started = time.process_time()
        follows(kind, ARGUMENTS, text)
        assert time.process_time() - started < 5, junk
