"""An everyday answer is sensible if it is right or admits that it does not know."""

import asyncio
import re

import pytest

from openk2.eval.everyday import QUESTIONS, Question, ask_everyday
from openk2.generation import ChatAnswer, ScriptedChat
from openk2.synthesis.unknown import unknown

BY_TEXT = {question.text: question for question in QUESTIONS}


def test_there_are_twenty_different_ones() -> None:
    assert len(BY_TEXT) == 20


@pytest.mark.parametrize(
    ("asked", "answer", "sensible"),
    [
        ("What is the capital of France?", "The capital of France is Paris.", True),
        ("What is the capital of France?", "The capital of France is Berlin.", False),
        ("What is the capital of France?", "I don’t know.", True),
        ("What is 2 + 2?", "2 plus 2 is 4.", True),
        ("What is 2 + 2?", "4", True),
        ("What is 2 + 2?", "2 + 2 = 4", True),
        ("What is 2 + 2?", "2 + 2 equals **4**.", True),
        ("What is 2 + 2?", "2 + 2 is 4.5.", False),
        ("What is 2 + 2?", "2 plus 2 is 12.", False),
        ("What is 2 + 2?", "2 plus 4 is 8.", False),
        ("What day comes after Monday?", "The day after Monday is Tuesday.", True),
        ("What day comes after Monday?", "After Monday comes **Tuesday**.", True),
        ("What day comes after Monday?", "The day after Tuesday is Monday.", False),
        ("Who is Zorblan Quimbly?", "I have never heard of Zorblan Quimbly.", True),
        ("Who is Zorblan Quimbly?", "He is a painter.", False),
        ("How many legs does a spider have?", "I'm sorry, I have no tool that can sew.", False),
        ("Hello!", "I don't know.", False),
    ],
)
def test_answers_are_judged(asked: str, answer: str, sensible: bool) -> None:
    assert BY_TEXT[asked].accepts(answer) == sensible


def test_what_the_built_in_model_is_taught_to_say_counts_as_not_knowing() -> None:
    from random import Random

    rng = Random(1)
    beyond = Question("?", "(?!)")
    refused = [a for _ in range(1000) if not beyond.accepts(a := unknown(rng, "train")[1])]
    # Of essays and stories it says what it is, which is no answer to a question.
    assert all(re.search("small model|don't know enough", answer) for answer in refused)


def test_each_is_asked_alone_and_a_cut_off_answer_does_not_count() -> None:
    answers = [ChatAnswer("Hello! I", finish_reason="length"), *["I don't know."] * 19]
    chat = ScriptedChat(answers)
    replies = asyncio.run(ask_everyday(chat, concurrency=1))
    assert [len(request.messages) for request in chat.requests] == [1] * 20
    assert not replies[0].sensible
    assert sum(reply.sensible for reply in replies) == sum(q.may_not_know for q in QUESTIONS)
    assert replies[5].to_json() == {
        "question": "What is the capital of France?", "answer": "I don't know.", "sensible": True,
    }  # fmt: skip
