"""How questions are put: to a chat model, whose answer stands in a box or after `Answer:`, and to a
base model, which continues a prompt of worked examples. Our wording; what a benchmark's paper fixes
is in its task."""

import hashlib
from collections.abc import Sequence
from random import Random

from openk2.data.error import DataError
from openk2.eval.answers.choices import LETTERS
from openk2.eval.records import Record


def boxed_question(problem: str) -> str:
    """A mathematical problem for a chat model."""
    return (
        f"{problem.strip()}\n\nReason step by step, and put your final answer within \\boxed{{}}."
    )


def listed(options: Sequence[str]) -> str:
    """`A. ...` a line."""
    lines = zip(LETTERS, options, strict=False)
    return "\n".join(f"{letter}. {option.strip()}" for letter, option in lines)


def choice_question(question: str, options: Sequence[str]) -> str:
    """A question with options for a chat model."""
    letters = f"{', '.join(LETTERS[: len(options) - 1])} or {LETTERS[len(options) - 1]}"
    return (
        f"{question.strip()}\n\n{listed(options)}\n\nThink step by step. End with a line"
        f' "Answer: X", where X is the letter of the right option: {letters}.'
    )


def base_choice(question: str, options: Sequence[str], answer: str = "") -> str:
    """A question with options in a base model's prompt, up to `Answer:`; a shot has its letter."""
    filled = f" {answer}\n\n" if answer else ""
    return f"{question.strip()}\n{listed(options)}\nAnswer:{filled}"


def base_question(question: str, answer: str = "") -> str:
    """A short question in a base model's prompt; a shot has its answer."""
    filled = f" {answer}\n\n" if answer else ""
    return f"Question: {question.strip()}\nAnswer:{filled}"


def continuations(count: int) -> list[str]:
    """What follows `Answer:` for each of `count` options."""
    return [f" {letter}" for letter in LETTERS[:count]]


def letter_of(record: Record, count: int, *names: str) -> str:
    """The right option's letter, from a letter or an index that starts at 0. Raises DataError."""
    value = str(record.one_of(*names)).strip()
    letters = LETTERS[:count]
    if value.isdecimal() and int(value) < count:
        return letters[int(value)]
    if len(value) == 1 and value in letters:
        return value
    raise DataError(f"{record.place}: answer {value!r} is no option of {count}")


def shuffled(options: Sequence[str], right: str, *seed: object) -> tuple[list[str], str]:
    """The options in an order that the seed alone decides, and the letter of `right` there."""
    order = list(options)
    Random(hashlib.sha256("/".join(map(str, seed)).encode()).digest()).shuffle(order)
    return order, LETTERS[order.index(right)]


# Five examples of ours for rows whose benchmark publishes none: facts that no row asks for.
FACTS = (
    ("What is the chemical symbol of gold?", "Au"),
    ("In which city is the Eiffel Tower?", "Paris"),
    ("Which planet is closest to the Sun?", "Mercury"),
    ("Who wrote the play Hamlet?", "William Shakespeare"),
    ("In which year did the Second World War end?", "1945"),
)
FACTS_IN_CHINESE = (
    ("金的化学符号是什么？", "Au"),
    ("埃菲尔铁塔位于哪座城市？", "巴黎"),
    ("离太阳最近的行星是哪一颗？", "水星"),
    ("《红楼梦》的作者是谁？", "曹雪芹"),
    ("第二次世界大战在哪一年结束？", "1945年"),
)
