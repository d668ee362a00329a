"""Forty ways to write a right number count, forty near misses do not."""

from fractions import Fraction

import pytest

from openk2.eval.answers.chinese import chinese_number
from openk2.eval.answers.numbers import number_answer, parse_number, same_number

# reference, what the model wrote
RIGHT = [
    ("18", "She makes 9 * 2 = $18.\n#### 18"),
    ("18", "The answer is 18."),
    ("18", "#### $18.00"),
    ("18", "#### 20 - 2 = 18"),
    ("18", "The answer is 20 - 2 = 18."),
    ("18", "#### 18 dollars"),
    ("18", "Answer: **18**"),
    ("18", "\\boxed{18}"),
    ("1,450,000", "#### 1450000"),
    ("1450000", "The answer is 1,450,000."),
    ("1450000", "The answer is 1 450 000."),
    ("1450000", "#### 1.45 million"),
    ("1450000", "#### 1.45e6"),
    ("1450000", "The answer is $1.45 \\times 10^6$."),
    ("25", "The answer is 025."),
    ("-5", "The answer is −5."),
    ("-5", "#### -5"),
    ("0.5", "#### 1/2"),
    ("0.5", "The answer is \\frac{1}{2}."),
    ("0.5", "#### .5"),
    ("2.5", "#### 2 1/2"),
    ("20", "#### 20%"),
    ("0.2", "#### 20%"),
    ("20%", "#### 20 percent"),
    ("7", "#### 7 apples"),
    ("7", "答案是７。"),
    ("7", "答案：七"),
    ("105", "答案是一百零五。"),
    ("32000", "答案：三万二千"),
    ("0.5", "答案是百分之五十"),
    ("0.75", "答案：四分之三"),
    ("12", "答案为12个。"),
    ("12", "First 15, then 3 fewer: 15 - 3 = 12"),
    ("12", "It takes 3 weeks. The answer is 12 hours, because 3 * 4 = 12."),
    ("12", "The answer is 15? No. The answer is 12."),
    ("12", "#### 12\n\nQuestion: how many?"),
    ("12", "<think>#### 99</think>#### 12"),
    ("1080", "the total is 1,080"),
    ("3.50", "It costs $3.5"),
    ("3", "#### 3.0"),
    ("60", "#### 60 km/h"),
    ("-3", "#### negative: -3"),
    ("100", "So he has €100"),
    ("42", "**Answer:** `42`"),
]
WRONG = [
    ("750", "#### 650-750"),
    ("30", "#### 20 or 30"),
    ("3", "#### 10 - 3"),
    ("30", "The answer is 20 or 30."),
    ("18", "#### 180"),
    ("18", "#### 1.8"),
    ("18", "#### -18"),
    ("18", "#### 18.01"),
    ("18", "#### 18,5"),
    ("18", "The answer is 18 or 19, so 19."),
    ("18", "#### 1 8 9"),
    ("18", "#### eighteen-ish, about 17"),
    ("18", "18 eggs a day, and 2 left"),
    ("18", "#### 9 * 2"),
    ("18", ""),
    ("18", "I do not know."),
    ("18", "#### "),
    ("18", "\\boxed{81}"),
    ("1450000", "#### 1,450"),
    ("1450000", "#### 1.45"),
    ("1450000", "#### 1.45 billion"),
    ("1450000", "#### 1.45e5"),
    ("1450000", "#### 1,45,0000"),
    ("-5", "#### 5"),
    ("5", "#### −5"),
    ("0.5", "#### 2/1"),
    ("0.5", "#### 1/0"),
    ("0.5", "#### 5"),
    ("0.5", "#### 0.05%"),
    ("2.5", "#### 21/2"),
    ("20", "#### 0.2%"),
    ("20%", "#### 2%"),
    ("7", "答案：七十"),
    ("105", "答案是一百五十。"),
    ("32000", "答案：三万二十"),
    ("0.5", "答案是百分之五"),
    ("0.75", "答案：三分之四"),
    ("12", "#### 12\n#### 13"),
    ("12", "The answer is 12. Wait, the answer is 13."),
    ("12", "答案是１３，不是12"),
    ("12", "<think>#### 12</think>#### 99"),
    ("60 km", "#### 60 m"),
    ("0.333", "#### 1/3"),
    ("100", "#### 1e400000"),
    ("100", "#### " + "9" * 5000),
    ("3", "#### 3i"),
]


@pytest.mark.parametrize(("reference", "text"), RIGHT)
def test_a_right_number_counts(reference: str, text: str) -> None:
    assert same_number(number_answer(text), reference)


@pytest.mark.parametrize(("reference", "text"), WRONG)
def test_a_near_miss_does_not_count(reference: str, text: str) -> None:
    assert not same_number(number_answer(text), reference)


def test_there_are_forty_of_each() -> None:
    assert min(len(RIGHT), len(WRONG)) >= 40


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("一百零五", 105),
        ("一百五", 150),
        ("两千零二十四", 2024),
        ("二〇二四", 2024),
        ("三万二", 32000),
        ("三百二十万", 3_200_000),
        ("一百零五万", 1_050_000),
        ("一亿零三万", 100_030_000),
        ("负三点五", Fraction(-7, 2)),
        ("三分之二", Fraction(2, 3)),
        ("百分之五十", Fraction(1, 2)),
    ],
)
def test_a_chinese_numeral_has_its_value(text: str, value: Fraction | int) -> None:
    assert chinese_number(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "2k",
        "5x",
        "x",
        "3 + 4",
        "1,2",
        "(1, 2)",
        "\\sqrt{2}",
        "2\\pi",
        "1/2/3",
        "一二三四五六七八九十" * 9,
    ],
)
def test_what_is_no_plain_number_is_none(text: str) -> None:
    assert parse_number(text) is None
