"""Questions beyond the model, and the sentence in which it says so.

It knows little, has no clock and no news, and cannot see what the user does: a small model that
learns to say so is worth more than one that guesses.
"""

from random import Random

from openk2.synthesis import values as v
from openk2.synthesis.phrasings import Exchange, phrasing
from openk2.synthesis.values import Split

_NEWS = (
    "What happened in the news today?", "What is the latest news?", "Any news today?",
    "What's going on in the world?", "Tell me today's news.", "Who won the match yesterday?",
    "Who won the election?", "What is the stock market doing today?", "Who is the president now?",
    "What are today's headlines?", "What is on TV tonight?", "Who is the richest person now?",
    "What happened last week?", "What is the price of gold today?", "Who is prime minister now?",
    "Who is leading the race?", "Which film won the prize this year?", "What is trending?",
    "How is the traffic right now?", "What does bitcoin cost today?", "What time is it?",
    "What's the time?", "Can you tell me the time?", "What time is it now?",
    "Do you know what time it is?",
)  # fmt: skip
_NEWS_ANSWERS = (
    "I don't know: I cannot see what is happening now.",
    "I don't know, because I have no access to current information.",
    "I cannot tell, since I have no connection to the outside world except the tools you declare.",
    "I don't know: nothing that happened after my training is known to me.",
)
_PRIVATE = (
    "What did I eat yesterday?", "Where are my keys?", "What is my password?", "How old am I?",
    "How tall am I?", "What did I dream of?", "What am I thinking?", "When is my birthday?",
    "What is my brother's name?", "What am I wearing?", "Do you know my mother?", "How do I look?",
    "What did my boss say?", "How many siblings do I have?", "What colour are my eyes?",
    "What's my favourite song?", "Where did I park my car?", "What is my dog called?",
    "Which school did I go to?", "Whom did I meet last night?",
)  # fmt: skip
_PRIVATE_ANSWERS = (
    "I don't know: you have not told me.",
    "I don't know, since I only know about you what you write here.",
    "I cannot know that, because you have not told me.",
    "I don't know; only what stands in this conversation is known to me.",
)
_PEOPLE = (
    "Who is {}?", "Do you know {}?", "Tell me about {}.", "What do you know about {}?",
    "Have you heard of {}?", "When was {} born?", "Where does {} live?", "What is {} famous for?",
    "How old is {}?", "Who was {}?", "What did {} do?", "Is {} still alive?",
)  # fmt: skip
_PEOPLE_ANSWERS = (
    "I don't know anybody called {}.",
    "I'm sorry, I don't know who {} is.",
    "I have never heard of {}.",
    "I don't know anything about {}.",
)
_NAMES = (
    "What is {}?", "What is a {}?", "Explain {}.", "What does {} mean?", "What is {} used for?",
    "Where can I find {}?", "Who invented {}?", "Define {}.", "Is {} good?", "How does {} work?",
)  # fmt: skip
_NAME_ANSWERS = (
    "I don't know what {} is.",
    "I don't know the word {}.",
    "I have never heard of {}.",
    "I'm sorry, {} is unknown to me.",
)
_HARD = (
    "What is {0} * {1}?", "Calculate {0} * {1}.", "How much is {0} times {1}?",
    "What is {0} divided by {1}?", "Compute the square root of {0}.", "What is {0} + {1}?",
    "What is {0} to the power of 7?", "Is {0} a prime number?", "Factorise {0}.",
    "What is the sine of {0}?", "{0} * {1} = ?", "What is {0} minus {1}?",
)  # fmt: skip
_HARD_ANSWERS = (
    "I don't know: I can only do sums with small numbers.",
    "I cannot do that reliably, as I only reckon with small numbers.",
    "I don't know; that calculation is too long for me.",
    "That is beyond me: I only know small sums.",
)
_OPEN = (
    "Write a poem about {}.", "Tell me a story about {}.", "Write an essay on {}.",
    "What do you think about {}?", "What is the history of {}?", "Why is {} important?",
    "Give me advice about {}.", "Write a program about {}.", "Write a song about {}.",
    "What will happen to {} in ten years?", "Write a long article about {}.",
    "Give me ten facts about {}.", "Compare {} with something else.",
)  # fmt: skip
_OPEN_ANSWERS = (
    "I am a small model, so I cannot do that well; I am best at calling tools.",
    "That is beyond me: I am a small model and write only short sentences.",
    "I'm sorry, I don't know enough for that.",
    "I don't know enough about that to answer well.",
)
_TOPICS = (
    "quantum physics", "politics", "love", "the ocean", "economics", "evolution", "philosophy",
    "football", "the stock market", "marketing", "climate", "dreams", "medicine", "life",
    "the Roman Empire", "the future", "happiness", "taxes", "my garden", "jazz", "opera",
)  # fmt: skip


def unknown(rng: Random, split: Split) -> Exchange:
    """A question that the model cannot answer, and an answer that says so."""
    makers = (_news, _private, _person, _name, _hard, _open)
    return rng.choices(makers, (4, 4, 5, 4, 4, 4))[0](rng, split)


def _news(rng: Random, split: Split) -> Exchange:
    return phrasing(rng, split, _NEWS), rng.choice(_NEWS_ANSWERS)


def _private(rng: Random, split: Split) -> Exchange:
    return phrasing(rng, split, _PRIVATE), rng.choice(_PRIVATE_ANSWERS)


def _person(rng: Random, split: Split) -> Exchange:
    name = v.full_name(rng, split)
    return phrasing(rng, split, _PEOPLE).format(name), rng.choice(_PEOPLE_ANSWERS).format(name)


def _name(rng: Random, split: Split) -> Exchange:
    name = v.pseudo_word(rng) if rng.random() < 0.5 else v.invented_name(rng, split)
    return phrasing(rng, split, _NAMES).format(name), rng.choice(_NAME_ANSWERS).format(name)


def _hard(rng: Random, split: Split) -> Exchange:
    one, two = rng.randint(120, 99_999), rng.randint(103, 9_999)
    return phrasing(rng, split, _HARD).format(one, two), rng.choice(_HARD_ANSWERS)


def _open(rng: Random, split: Split) -> Exchange:
    topic = rng.choice((*_TOPICS, f"{v.adjective(rng, split)} {v.thing(rng, split)}s"))
    return phrasing(rng, split, _OPEN).format(topic), rng.choice(_OPEN_ANSWERS)
