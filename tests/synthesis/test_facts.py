"""Facts are true where they can be checked, both splits have them all, and phrasings differ."""

import re
from random import Random

import pytest

from openk2.synthesis.facts import TOPICS, fact
from openk2.synthesis.geography import CAPITALS, WELL_KNOWN
from openk2.synthesis.limits import limit
from openk2.synthesis.phrasings import Exchange, phrasing
from openk2.synthesis.recall import recalled
from openk2.synthesis.smalltalk import smalltalk
from openk2.synthesis.sums import alphabet, arithmetic, calendar, number_question
from openk2.synthesis.unknown import unknown
from openk2.synthesis.values import Split

SPLITS: tuple[Split, ...] = ("train", "held_out")
MAKERS = (fact, unknown, smalltalk, limit)


def exchanges(split: Split, count: int = 3000) -> list[Exchange]:
    rng = Random(1)
    return [rng.choice(MAKERS)(rng, split) for _ in range(count)]


def test_no_two_rows_of_a_table_answer_one_question_differently() -> None:
    answers: dict[str, set[str]] = {}
    for topic in TOPICS:
        for form in topic.forms:
            by_question = {}
            for row in topic.rows:
                assert len(row) == len(topic.rows[0]), row
                question = form.asked[0].format(*row)
                by_question.setdefault(question, set()).add(form.answer.format(*row))
            answers |= by_question
    several = {question: found for question, found in answers.items() if len(found) > 1}
    # One city that is the capital of two: London of England and of the United Kingdom.
    assert set(several) <= {"Which country has London as its capital?"}


def test_capitals_are_of_nearly_every_country_and_each_country_has_one() -> None:
    countries = [country for country, _ in CAPITALS]
    assert len(countries) == len(set(countries)) > 180
    assert set(WELL_KNOWN) <= set(CAPITALS)


@pytest.mark.parametrize("split", SPLITS)
def test_sums_are_right(split: Split) -> None:
    signs = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
    rng = Random(2)
    for _ in range(500):
        _, answer = arithmetic(rng, split)
        found = re.fullmatch(r"(\d+) (plus|minus|times|divided by) (\d+) is (\d+)\.", answer)
        assert found is not None
        one, said, two, result = found.groups()
        assert eval(f"{one} {signs[said]} {two}") == int(result)


@pytest.mark.parametrize("maker", [calendar, alphabet, number_question])
def test_a_question_that_comes_again_has_the_same_answer(maker: object) -> None:
    rng, seen = Random(3), {}
    for split in SPLITS:
        for _ in range(1500):
            question, answer = maker(rng, split)  # type: ignore[operator]
            assert seen.setdefault(question, answer) == answer


def test_held_out_phrasings_never_occur_in_training() -> None:
    for topic in TOPICS:
        for form in topic.forms:
            rng, row = Random(4), topic.rows[0]
            asked = {s: {phrasing(rng, s, form.asked).format(*row) for _ in range(200)}
                     for s in SPLITS}  # fmt: skip
            assert asked["train"]
            assert asked["held_out"]
            assert asked["train"].isdisjoint(asked["held_out"]), form


@pytest.mark.parametrize("split", SPLITS)
def test_every_exchange_is_filled_and_answered_in_at_most_two_sentences(split: Split) -> None:
    for question, answer in exchanges(split):
        for text in (question, answer):
            assert "{" not in text
            assert text == " ".join(text.split())
            assert text
        assert len(re.findall(r"[a-z][.!?](?= |$)", answer)) <= 2, answer


def test_what_is_beyond_the_model_is_answered_by_saying_so_in_many_ways() -> None:
    rng = Random(5)
    answers = [unknown(rng, "train")[1] for _ in range(1500)]
    admits = re.compile(r"don't know|cannot|never heard|beyond me|unknown|only know|can only")
    assert all(admits.search(answer) for answer in answers)
    assert len({re.sub(r"[A-Z]\w+( [A-Z]\w+)*", "", answer) for answer in answers}) > 20


def test_a_date_and_a_name_are_answered_only_from_what_stands_before() -> None:
    rng = Random(6)
    before = "You are Zoe. Today is 2025-03-04. The user is called Ann.\nMy name is Ben Okafor."
    told = {recalled(rng, "train", before)[1] for _ in range(50)}
    assert told == {"Today is 2025-03-04.", "Your name is Ben Okafor."}
    assert all("don't know" in recalled(rng, "train", "Hello.")[1] for _ in range(50))


def test_fewer_than_five_phrasings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 5"):
        phrasing(Random(0), "train", ("a", "b"))
