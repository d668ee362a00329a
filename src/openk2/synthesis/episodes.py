"""Kinds of conversation: each segment writes a few turns onto a dialogue.

A segment decides what the user wants, what a right assistant does and what the tools return. The
tools it calls are collected, and declared among distractors when the dialogue is done.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from openk2.synthesis import values as v
from openk2.synthesis.facts import fact
from openk2.synthesis.identity import identity_exchange
from openk2.synthesis.phrasings import Exchange
from openk2.synthesis.recall import recalled
from openk2.synthesis.requests import Wish, is_plural, listed, make_wish, spoken, stated
from openk2.synthesis.results import Outcome, deed, draw_failure, draw_outcome
from openk2.synthesis.smalltalk import naming, smalltalk, thanks
from openk2.synthesis.tools import (
    Arguments,
    Parameter,
    Task,
    Tool,
    Vocabulary,
    draw_tool,
    make_tool,
)
from openk2.synthesis.unknown import unknown
from openk2.synthesis.values import Split
from openk2.synthesis.weather import draw_weather, make_weather_tool, make_weather_wish

WEATHER_SHARE = 0.3
# Tools of these could serve a question of common knowledge, so the two never meet.
_KNOWING_DOMAINS = (
    "maps", "language", "math", "calculator", "web", "time", "news", "stocks", "currency", "sports",
    "library", "films", "users", "customers", "art", "chemistry", "astronomy", "election",
)  # fmt: skip
_NAMED = (v.full_name, v.first_name, v.email, v.username, v.product)


@dataclass(frozen=True)
class Job:
    """One wish with the call that fulfils it and what comes of it."""

    tool: Tool
    arguments: Arguments
    wish: Wish
    outcome: Outcome


@dataclass
class Dialogue:
    """A conversation being written, and the tools it needs (`used`) and must lack (`absent`).

    system: its system prompt. kinds: what each assistant turn is, as `openk2 eval tools` counts it.
    """

    rng: Random
    vocabulary: Vocabulary
    system: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    used: list[Tool] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    calls: int = 0

    def user(self, text: str) -> None:
        """Add a user turn."""
        self.messages.append({"role": "user", "content": text})

    def say(self, text: str, kind: str = "talk") -> None:
        """Add an assistant turn without calls."""
        self.messages.append({"role": "assistant", "content": text})
        self.kinds.append(kind)

    def call(self, *jobs: Job, kind: str | None = None) -> None:
        """Add an assistant turn that calls, in one section, and the tools' results in its order."""
        self.kinds.append(kind or ("parallel" if len(jobs) > 1 else "single"))
        tool_calls, results = [], []
        for job in jobs:
            name, call_id = job.tool.name, f"functions.{job.tool.name}:{self.calls}"
            self.calls += 1
            arguments = json.dumps(job.arguments, ensure_ascii=False, separators=(",", ":"))
            function = {"name": name, "arguments": arguments}
            tool_calls.append({"id": call_id, "type": "function", "function": function})
            result = {"role": "tool", "tool_call_id": call_id, "name": name}
            results.append({**result, "content": job.outcome.content})
            if job.tool not in self.used:
                self.used.append(job.tool)
        self.messages.append({"role": "assistant", "content": "", "tool_calls": tool_calls})
        self.messages.extend(results)


Segment = Callable[[Dialogue], None]
Exchanger = Callable[[Random, Split], Exchange]


def purpose(tool: Tool) -> str:
    """What a tool is for; two tools of one purpose are never declared together."""
    return purpose_of(tool.task)


def purpose_of(task: Task) -> str:
    """See `purpose`."""
    return f"{task.verb} {task.noun_words}"


def draw_job_tool(dialogue: Dialogue) -> Tool:
    """A tool that may be called here: new, or one called before."""
    rng, vocabulary = dialogue.rng, dialogue.vocabulary
    if dialogue.used and rng.random() < 0.4:
        return rng.choice(dialogue.used)
    taken = {purpose(tool) for tool in dialogue.used} | dialogue.absent
    names = {tool.name for tool in dialogue.used}
    while True:
        weather = vocabulary.split == "train" and rng.random() < WEATHER_SHARE
        tool = make_weather_tool(rng) if weather else draw_tool(rng, vocabulary)
        if purpose(tool) not in taken and tool.name not in names:
            return tool


def draw_arguments(dialogue: Dialogue, tool: Tool) -> Arguments:
    """Values for every required parameter and some optional ones, in the order of their names."""
    rng, split = dialogue.rng, dialogue.vocabulary.split
    given = [p for p in tool.parameters if p.required or rng.random() < 0.45]
    return {p.name: p.draw(rng, split) for p in sorted(given, key=lambda p: p.name)}


def draw_job(dialogue: Dialogue, tool: Tool | None = None) -> Job:
    """A wish that one call fulfils."""
    tool = tool or draw_job_tool(dialogue)
    arguments = draw_arguments(dialogue, tool)
    if tool.domain == "weather":
        wish = make_weather_wish(dialogue.rng, tool, arguments)
    else:
        wish = make_wish(dialogue.rng, tool, arguments)
    return Job(tool, arguments, wish, _succeed(dialogue, tool, arguments, wish.details))


def single(dialogue: Dialogue) -> None:
    """Request, call, result, sentence."""
    _fulfil(dialogue, draw_job(dialogue))


def follow_up(dialogue: Dialogue) -> None:
    """A question that an earlier result answers: no second call."""
    job = draw_job(dialogue)
    _fulfil(dialogue, job)
    if job.outcome.facts:
        words, value = dialogue.rng.choice(job.outcome.facts)
        be = "are" if is_plural(words) else "is"
        forms = ("What was the {} again?", "Remind me, what is the {}?", "And what is the {}?",
                 "Can you repeat the {}?", "Sorry, what was the {}?")  # fmt: skip
        dialogue.user(dialogue.rng.choice(forms).replace("{}", words))
        dialogue.say(f"The {words} {be} {value}.", "none_needed")


def once_more(dialogue: Dialogue) -> None:
    """A request, and then the same with one argument changed: "And what about London?"."""
    rng, split = dialogue.rng, dialogue.vocabulary.split
    job = draw_job(dialogue)
    _fulfil(dialogue, job)
    told = [p for p in job.tool.parameters
            if isinstance(job.arguments.get(p.name), str) and not p.kind.choices]  # fmt: skip
    if not told or job.tool.task.mode == "do":
        return
    changed = rng.choice(told)
    value = changed.draw(rng, split)
    while value == job.arguments[changed.name]:
        value = changed.draw(rng, split)
    phrase = stated(rng, changed, value)
    forms = ("And {}?", "And what about {}?", "What about {}?", "And {}, please?", "How about {}?")
    said = phrase if rng.random() < 0.4 else spoken(value)
    dialogue.user(rng.choice(forms).replace("{}", said))
    arguments = {**job.arguments, changed.name: value}
    outcome = _succeed(dialogue, job.tool, arguments, phrase)
    _answer(dialogue, Job(job.tool, arguments, job.wish, outcome))


def parallel(dialogue: Dialogue) -> None:
    """Two calls in one section: of one tool, or of two."""
    one = draw_job(dialogue)
    if one.tool.parameters and "{}" in one.wish.frame and dialogue.rng.random() < 0.6:
        two = draw_job(dialogue, one.tool)
        if two.arguments.keys() == one.arguments.keys() and two.arguments != one.arguments:
            dialogue.user(one.wish.with_details(f"{one.wish.details} and {two.wish.details}"))
            return _answer(dialogue, one, two)
    two = draw_job(dialogue)
    while two.tool.name == one.tool.name or purpose(two.tool) == purpose(one.tool):
        two = draw_job(dialogue)
    joint = dialogue.rng.choice((" Also: ", " And also: ", " And then: ", " ", " Besides, "))
    first = one.wish.text if one.wish.text[-1] in ".?!" else f"{one.wish.text}."
    dialogue.user(f"{first}{joint}{two.wish.text}")
    return _answer(dialogue, one, two)


def sequence(dialogue: Dialogue) -> None:
    """Two steps: the first call's result is the second call's argument."""
    rng, vocabulary = dialogue.rng, dialogue.vocabulary
    second = draw_tool(rng, vocabulary, rng.choice(tuple(vocabulary.domains)))
    keys = [p for p in second.required() if p.kind.sample is v.code]
    if not keys or purpose(second) in dialogue.absent | {purpose(t) for t in dialogue.used}:
        return single(dialogue)
    link = rng.choice(keys)
    asked_by = rng.choice([k for k, kind in vocabulary.kinds.items() if kind.sample in _NAMED])
    task = Task("ask", f"the {link.words}", (asked_by,), (), {link.words: v.code})
    first = make_tool(rng, vocabulary, task, second.domain)
    if first.name == second.name or purpose(first) in dialogue.absent:
        return single(dialogue)
    one = draw_job(dialogue, first)
    value = one.outcome.facts[0][1]
    arguments = {**draw_arguments(dialogue, second), link.name: value}
    rest = [stated(rng, p, arguments[p.name]) for p in second.parameters
            if p.name in arguments and p is not link]  # fmt: skip
    forms = ("{}, then {}.", "First {}. Then {}.", "{} and use it to {}.", "Please {} and then {}.")
    steps = rng.choice(forms).split("{}")
    text = f"{steps[0]}{rng.choice(('get', 'find', 'look up'))} {task.noun} {one.wish.details}"
    text = f"{text}{steps[1]}{' '.join([deed(second), *rest])}{steps[2]}"
    dialogue.user(text[0].upper() + text[1:])
    dialogue.call(one, kind="sequence")
    details = " ".join([*rest, stated(rng, link, value)])
    two = Job(second, arguments, one.wish, _succeed(dialogue, second, arguments, details))
    return _answer(dialogue, two, kind="sequence")


def missing(dialogue: Dialogue) -> None:
    """A required argument is missing: the assistant asks, the user tells, then comes the call."""
    rng, tool = dialogue.rng, draw_job_tool(dialogue)
    while not tool.required():
        tool = draw_job_tool(dialogue)
    arguments, required = draw_arguments(dialogue, tool), tool.required()
    lacking = rng.sample(required, 2 if len(required) > 1 and rng.random() < 0.3 else 1)
    lacking.sort(key=lambda p: p.name)
    if tool.domain == "weather":
        lacking = [tool.parameters[0]]
        wish = make_weather_wish(rng, tool, arguments, told=False)
    else:
        wish = make_wish(rng, tool, arguments, omit=[p.name for p in lacking])
    dialogue.user(wish.text)
    lead = "Sure. " if rng.random() < 0.4 else ""
    dialogue.say(
        f"{lead}What {_be(lacking)} {listed([f'the {p.words}' for p in lacking])}?", "missing"
    )
    told = [stated(rng, p, arguments[p.name]) for p in lacking]
    dialogue.user(_tell(rng, lacking, arguments, told))
    details = " ".join([wish.details, *told]).strip()
    _answer(dialogue, Job(tool, arguments, wish, _succeed(dialogue, tool, arguments, details)))


def failure(dialogue: Dialogue) -> None:
    """The tool reports an error; at times the user has it tried again."""
    job = draw_job(dialogue)
    failed = Job(job.tool, job.arguments, job.wish, draw_failure(dialogue.rng, job.tool))
    dialogue.user(job.wish.text)
    _answer(dialogue, failed, told="error")
    if dialogue.rng.random() < 0.3:
        again = ("Try again.", "Please try again.", "Can you try once more?", "Retry, please.")
        dialogue.user(dialogue.rng.choice(again))
        _answer(dialogue, job)


def refusal(dialogue: Dialogue) -> None:
    """No declared tool serves the request: the assistant says so."""
    rng, used = dialogue.rng, {purpose(tool) for tool in dialogue.used}
    job = draw_job(dialogue)
    while job.tool in dialogue.used or purpose(job.tool) in used:
        job = draw_job(dialogue)
    dialogue.absent.add(purpose(job.tool))
    dialogue.user(job.wish.text)
    sorry = "I'm sorry, " if rng.random() < 0.7 else "Sorry, "
    dialogue.say(f"{sorry}I have no tool that can {deed(job.tool)}.", "refused")


def chat(dialogue: Dialogue) -> None:
    """A few words that need no tool: small talk, common facts, what the model does not know."""
    rng, split = dialogue.rng, dialogue.vocabulary.split
    knowing = {purpose_of(task) for domain in _KNOWING_DOMAINS
               for task in dialogue.vocabulary.domains.get(domain, ())}  # fmt: skip
    makers: tuple[Exchanger, ...] = (smalltalk, fact, unknown)
    maker = rng.choices(makers, (4, 5, 2))[0]
    if maker is not smalltalk and knowing & {purpose(tool) for tool in dialogue.used}:
        maker = smalltalk
    if maker is not smalltalk:
        dialogue.absent |= knowing
    asked, answer = maker(rng, split)
    if maker is unknown and rng.random() < 0.15:
        told = (dialogue.system or "", *(m["content"] for m in dialogue.messages))
        asked, answer = recalled(rng, split, "\n".join(told))
    dialogue.user(asked)
    dialogue.say(answer)


def identity(dialogue: Dialogue) -> None:
    """A question about the model itself."""
    asked, answer = identity_exchange(dialogue.rng, dialogue.vocabulary.split)
    dialogue.user(asked)
    dialogue.say(answer)


def memory(dialogue: Dialogue) -> None:
    """Something the user said before is asked for."""
    told, asked = naming(dialogue.rng, dialogue.vocabulary.split)
    between = [chat] * dialogue.rng.choice((0, 0, 1))
    for pair in (told, asked):
        dialogue.user(pair[0])
        dialogue.say(pair[1])
        for segment in between if pair is told else []:
            segment(dialogue)


def farewell(dialogue: Dialogue) -> None:
    """Thanks, or good-bye."""
    asked, answer = thanks(dialogue.rng, dialogue.vocabulary.split)
    dialogue.user(asked)
    dialogue.say(answer)


def _fulfil(dialogue: Dialogue, job: Job) -> None:
    dialogue.user(job.wish.text)
    _answer(dialogue, job)


def _answer(dialogue: Dialogue, *jobs: Job, kind: str | None = None, told: str = "answer") -> None:
    dialogue.call(*jobs, kind=kind)
    dialogue.say(" ".join(job.outcome.answer for job in jobs), told)


def _succeed(dialogue: Dialogue, tool: Tool, arguments: Arguments, details: str) -> Outcome:
    rng, split = dialogue.rng, dialogue.vocabulary.split
    if tool.domain == "weather":
        return draw_weather(rng, split, arguments[tool.parameters[0].name])
    return draw_outcome(rng, split, tool, arguments, details)


def _be(parameters: list[Parameter]) -> str:
    return "are" if len(parameters) > 1 or parameters[0].kind.type == "array" else "is"


def _tell(rng: Random, lacking: list[Parameter], arguments: Arguments, told: list[str]) -> str:
    if len(lacking) == 1 and rng.random() < 0.7:
        value = spoken(arguments[lacking[0].name])
        forms = (
            "{}",
            "{}.",
            "It's {}.",
            "{}, please.",
            "The {words} is {}.",
            "Use {}.",
            "It is {}.",
        )
        return rng.choice(forms).replace("{words}", lacking[0].words).replace("{}", value)
    if len(lacking) > 1 and rng.random() < 0.5:
        pairs = [f"{p.words} {spoken(arguments[p.name])}" for p in lacking]
        return f"The {listed(pairs)}."
    text = " ".join(told)
    return f"{text[:1].upper()}{text[1:]}."
