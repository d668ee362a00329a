"""A question that stands in a corpus is found, however it is set; others are not."""

import random

from inspect_ai.dataset import Sample

from openk2.eval.canary import WORDS, Canary, words_of

QUESTION = (
    "A train leaves Bern at 9:40 and arrives in Basel, 95 km away, an hour later; "
    "how fast was it on average between the two towns?"
)
CHINESE = "一列火车九点四十分从伯尔尼出发，一小时后到达巴塞尔，平均速度是多少？"


def looking(*questions: str) -> Canary:
    canary = Canary()
    canary.add("row", [Sample(id=f"q{n}", input=text) for n, text in enumerate(questions)])
    return canary


def test_a_question_is_found_whatever_its_letters_and_spaces() -> None:
    for text in (QUESTION.upper(), QUESTION.replace(" ", "\n"), f"x {QUESTION}\n\n95 km/h"):
        canary = looking(QUESTION, CHINESE)
        canary.read("nothing of it")
        assert canary.rows["row"].found == {}
        canary.read(text)
        assert list(canary.rows["row"].found) == ["q0"]
    canary.read(f"题目：{CHINESE.replace('，', '')}")
    assert list(canary.rows["row"].found) == ["q0", "q1"]


def test_thirteen_words_in_a_row_are_enough_and_twelve_are_not() -> None:
    words = words_of(QUESTION)
    for count, found in ((WORDS - 1, False), (WORDS, True)):
        canary = looking(" ".join(words[:20]))
        canary.read(" ".join(["other", *words[3 : 3 + count], "words"]))
        assert bool(canary.rows["row"].found) == found


def test_a_short_question_is_found_whole_and_a_very_short_one_is_not_looked_for() -> None:
    canary = looking("one two three four five six seven eight nine", "what is two plus two")
    leak = canary.rows["row"]
    assert (leak.looked_for, leak.untold) == (1, 1)
    canary.read("what is two plus two, one two three four five six seven eight")
    assert leak.found == {}
    canary.read("zero one two three four five six seven eight nine ten")
    assert list(leak.found) == ["q0"]


def test_the_same_words_in_another_order_are_not_found() -> None:
    words = words_of(QUESTION)
    random.Random(0).shuffle(words)
    canary = looking(QUESTION)
    canary.read(" ".join(words))
    assert canary.rows["row"].found == {}


def test_what_the_questions_of_a_row_have_in_common_is_not_looked_for() -> None:
    """How to answer stands in every prompt, and in documents that hold no question."""
    how = "Think step by step and end with the letter of the right option, A, B, C or D."
    questions = [f"{QUESTION} Train number {n * 7919}. {how}" for n in range(5)]
    canary = looking(*questions)
    canary.read(f"Exams say: {how}")
    assert canary.rows["row"].found == {}
    canary.read(questions[2])
    assert list(canary.rows["row"].found) == ["q2"]


def test_a_question_that_is_asked_in_many_ways_is_looked_for() -> None:
    canary = Canary()
    orders = [
        Sample(id=f"q/{n}", input=f"{QUESTION} {n}", metadata={"cluster": "q"}) for n in range(8)
    ]
    canary.add("row", orders)
    canary.read(QUESTION)
    assert list(canary.rows["row"].found) == ["q"]
    assert canary.rows["row"].looked_for == 1


def test_a_question_with_blank_lines_after_examples_is_read_from_the_metadata() -> None:
    prompt = f"### Problem\nadd\n\n### Problem\n{QUESTION}\n\n### Python solution\n"
    canary = Canary()
    canary.add("row", [Sample(input=prompt, metadata={"question": QUESTION})], shots=True)
    canary.read(QUESTION)
    assert len(canary.rows["row"].found) == 1
