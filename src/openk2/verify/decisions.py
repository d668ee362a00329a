"""Seeded questions with reference decisions: whether a tool is to be called."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from openk2.verify.cases import TOOLS, ToolJson

_CITIES = ("Paris", "Nairobi", "Lima", "Osaka", "Oslo", "Hanoi", "Toronto", "Cairo")
_PEOPLE = ("Maria", "Wei", "Omar", "Ingrid", "Tunde", "Sofia")
_LANGUAGES = ("German", "French", "Chinese")

# A call is clearly wanted: the index of its tool in TOOLS, and the question.
_ERRANDS = (
    (0, "What is the weather in {city} right now?"),
    (0, "Do I need an umbrella in {city} today?"),
    (0, "Tell me the current weather of {city}."),
    (1, "Remind me to call {person} at {hour} o'clock."),
    (1, "Set a reminder at {hour}: water the plants."),
    (2, "Translate 'good morning, {person}' into {language}."),
)
# A call is clearly not wanted, whichever tools there are.
_TALK = (
    "Hello!",
    "Thank you, {person} was very happy about it.",
    "Who are you?",
    "What is two plus two?",
    "Tell me a joke about cats.",
    "Is it polite to arrive late to a dinner?",
)


@dataclass(frozen=True)
class Decision:
    """A question, the tools beside it, and whether one of them is to be called."""

    question: str
    tools: tuple[ToolJson, ...]
    call: bool


def decisions(seed: int, count: int = 24) -> list[Decision]:
    """Questions of both kinds in turn, the wanted tool among one or two others."""
    return [_decision(Random(f"{seed}/decision/{index}"), index) for index in range(count)]


def _decision(rng: Random, index: int) -> Decision:
    call = index % 2 == 0
    wanted, template = rng.choice(_ERRANDS) if call else (rng.randrange(3), rng.choice(_TALK))
    question = template.format(
        city=rng.choice(_CITIES),
        person=rng.choice(_PEOPLE),
        language=rng.choice(_LANGUAGES),
        hour=rng.randrange(7, 22),
    )
    others = [tool for place, tool in enumerate(TOOLS) if place != wanted]
    tools = [TOOLS[wanted], *rng.sample(others, rng.randint(1, 2))]
    rng.shuffle(tools)
    return Decision(question, tuple(tools), call)


@dataclass(frozen=True)
class Agreement:
    """How decisions agree with their references."""

    precision: float
    recall: float
    f1: float


def agreement(wanted: Sequence[bool], called: Sequence[bool]) -> Agreement:
    """The vendor's trigger similarity. A ratio over nothing is 0."""
    hits = sum(w and c for w, c in zip(wanted, called, strict=True))
    precision = hits / max(sum(called), 1)
    recall = hits / max(sum(wanted), 1)
    return Agreement(precision, recall, 2 * precision * recall / max(precision + recall, 1e-9))
