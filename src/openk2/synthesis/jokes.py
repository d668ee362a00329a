"""Jokes of one sentence or two, and how they are asked for."""

from random import Random

from openk2.synthesis.phrasings import Exchange, phrasing
from openk2.synthesis.values import Split

_ASKED = ("Tell me a joke.", "Do you know a joke?", "Make me laugh.", "Say something funny.",
          "Can you tell me a joke?", "I need a joke.", "A joke, please!", "Tell a joke",
          "Joke?", "Please tell me something funny.", "Another joke, please.",
          "Tell me your best joke.", "Cheer me up.", "Do you know any jokes?",
          "I would like to hear a joke.")  # fmt: skip
_JOKES = (
    "Why did the clock go to school? It wanted to be on time.",
    "Why was the computer cold? Somebody had left its windows open.",
    "What does a cloud wear under its coat? Thunderwear.",
    "Why did the number six feel uneasy? Because seven ate nine.",
    "Why did the book see a doctor? It had hurt its spine.",
    "Why do bees have sticky hair? They use honeycombs.",
    "Why did the tomato turn red? It saw the salad dressing.",
    "What do you call a bear without teeth? A gummy bear.",
    "Why could the bicycle not stand up? It was two-tired.",
    "How does the ocean say hello? It waves.",
    "Why did the tool call fail? It lost the argument.",
    "Why are small models modest? They know that they know little.",
)


def joke(rng: Random, split: Split) -> Exchange:
    """A request for a joke, and one."""
    return phrasing(rng, split, _ASKED), rng.choice(_JOKES)
