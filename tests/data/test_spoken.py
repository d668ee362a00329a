from datetime import date, timedelta

import pytest

from openk2.data.spoken import is_said


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Oslo", "in oslo, please"), ("Redwood City", "in redwood city"),
        ("Damien Jurado", "damien is good"), (5, "for five people"), (5, "5"), (0, "no bags"),
        (20, "twenty"), (True, "true"), (["ab", "cd"], "use ab"), ("2019-03-05", "on 2019-03-05"),
        ("2019-03-05", "on the 5th"), ("2019-03-05", "march 5"), ("2019-03-05", "5 of mar."),
        ("2019-03-05", "next tuesday"), ("2019-03-05", "on the fifth"), ("2019-03-05", "3/5"),
        ("2019-03-05", "tomorrow"), ("17:30", "17:30"), ("17:30", "at 5:30 pm"),
        ("17:30", "half past five"), ("17:00", "5pm"), ("17:00", "five in the afternoon"),
        ("17:00", "5 o'clock"), ("11:45", "quarter to twelve"), ("12:00", "at noon"),
        ("23:15", "quarter past 11"), ("23:00", "at 23"),
    ],
)  # fmt: skip
def test_what_people_say_is_found(value: object, text: str) -> None:
    assert is_said(value, text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Oslo", "in oslofjord"), ("Oslo", ""), ("The Hall", "the house"), ("Al Green", "al"),
        ("a-b", "a"), (5, "15"), (5, "fifty"), (25, "two"), (2019, "two"),
        ("2019-03-05", "on the 15th"), ("2019-03-05", "march 15"), ("2019-03-05", "monday"),
        ("2019-99-05", "5th"), ("17:30", "5 pm"), ("17:00", "15 people"), ("17:00", "six"),
        ("11:45", "quarter to eleven"), ([], "oslo"), ("99:99", "nine"),
    ],
)  # fmt: skip
def test_what_says_something_else_is_not(value: object, text: str) -> None:
    assert not is_said(value, text)


def test_every_date_and_time_is_said_by_itself_and_is_a_pattern() -> None:
    for number in range(400):
        day = date(2019, 1, 1) + timedelta(number)
        assert is_said(str(day), f"on the {day.day}th" if day.day > 3 else f"{day:%A}".lower())
    for minute in range(24 * 60):
        time = f"{minute // 60:02}:{minute % 60:02}"
        assert is_said(time, f"at {time}")


@pytest.mark.parametrize("value", ["a(b", "[x", "x\\", "*", "a|b c", "?"])
def test_marks_are_no_patterns(value: str) -> None:
    assert is_said(value, f"so {value} then")
    assert not is_said(value, "so ab xc then")
