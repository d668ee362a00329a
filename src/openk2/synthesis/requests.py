"""How a user words a wish. Every argument stands in the text exactly as the call must give it."""

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import Any

from openk2.synthesis.tools import Arguments, Parameter, Tool

_ASK_FRAMES = (
    "What is {}?", "What is {}?", "What's {}?", "Can you tell me {}?", "Could you check {}?",
    "Please check {}.", "I need {}.", "I need to know {}.", "Tell me {}.", "Look up {}, please.",
    "Please look up {}.", "Get {}.", "Give me {}.", "Show me {}.", "I'd like to know {}.",
    "Do you know {}?", "Find out {} for me.", "Let me know {}.", "Could you find out {}?",
    "Can you get me {}?", "I was wondering what {} is.", "Check {}",
)  # fmt: skip
_SEARCH_FRAMES = (
    "Find {}.", "Find me {}.", "Search for {}.", "Show me {}.", "List {}.", "Please list {}.",
    "Are there any {}?", "I am looking for {}.", "Can you find {}?", "Could you search for {}?",
    "I need {}.", "Please find {}.", "Which {} are there?", "Look for {}", "Help me find {}.",
)  # fmt: skip
_DO_FRAMES = (
    "{}.", "{}.", "Please {}.", "Please {}.", "Can you {}?", "Could you {}?", "I want to {}.",
    "I'd like to {}.", "I need to {}.", "Could you please {}?", "I want you to {}.",
    "Go ahead and {}.", "Would you {}?", "Help me {}.", "{}, please.", "Can you {} for me?",
)  # fmt: skip
_OPENINGS = ("Hi! ", "Hello, ", "Hey, ", "Good morning. ", "Quick question: ", "One more thing. ")
_ENDINGS = (" Use the tool to check.", " Use the tool.", " Use a tool.", " Please use the tool.",
            " Use the tools if you need to.", " Thanks!", " Thank you.", " It's urgent.",
            " Just the result, please.", " Check it with the tool.")  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """A request in parts: `frame` holds "{}" where `head` and `details` go, or it is all there is.

    details: the phrases that tell the arguments, which the answer may take up.
    """

    frame: str
    head: str
    details: str

    @property
    def text(self) -> str:
        """The request as the user writes it."""
        return self.with_details(self.details)

    def with_details(self, details: str) -> str:
        """The same request with other details ("in Paris and in Rome")."""
        if "{}" not in self.frame:
            return self.frame
        filling = f"{self.head} {details}".strip()
        slot = "{}" if filling else " {}"
        text = self.frame.replace(slot, filling, 1)
        return text[:1].upper() + text[1:]


def spoken(value: Any) -> str:
    """A value as it stands in a sentence: a list as 'a, b and c', a boolean as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return listed([spoken(item) for item in value])
    return str(value)


def listed(parts: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def stated(rng: Random, parameter: Parameter, value: Any) -> str:
    """A phrase that tells one argument: 'in Paris', 'with the city Paris', 'without breakfast'."""
    if isinstance(value, bool):
        return parameter.kind.said[0 if value else 1]
    text = spoken(value)
    if rng.random() < 0.8:
        return rng.choice(parameter.kind.said).replace("{}", text)
    words = parameter.words
    forms = (f"with {words} {text}", f"with the {words} {text}", f"({words}: {text})",
             f"using {text} as the {words}")  # fmt: skip
    return rng.choice(forms)


def make_wish(rng: Random, tool: Tool, arguments: Arguments, omit: Collection[str] = ()) -> Wish:
    """Word a request for a call of `tool` with `arguments`, leaving out those named in `omit`."""
    task = tool.task
    told = [p for p in tool.parameters if p.name in arguments and p.name not in omit]
    if rng.random() < 0.15:
        rng.shuffle(told)
    details = " ".join(stated(rng, p, arguments[p.name]) for p in told)
    if task.natural and not omit and rng.random() < 0.4:
        return Wish(_natural(rng, tool, arguments), "", details)
    frames = {"ask": _ASK_FRAMES, "search": _SEARCH_FRAMES, "do": _DO_FRAMES}[task.mode]
    head = f"{task.verb} {task.noun}" if task.mode == "do" else task.noun
    frame = rng.choice(frames)
    if frame.startswith("What") and is_plural(head):
        frame = frame.replace("What is", "What are").replace("What's", "What are")
    return Wish(dressed(rng, frame), head, details)


def _natural(rng: Random, tool: Tool, arguments: Arguments) -> str:
    """One of the task's own phrasings, with the optional arguments told after it."""
    text, rest = rng.choice(tool.task.natural), []
    for parameter in tool.parameters:
        slot, value = f"{{{parameter.key}}}", arguments.get(parameter.name)
        if slot in text:
            text = text.replace(slot, spoken(value))
        elif value is not None:
            rest.append(stated(rng, parameter, value))
    mark = text[-1] if text[-1] in "?." else ""
    text = " ".join([text.removesuffix(mark), *rest]) + mark
    opening = rng.choice(_OPENINGS) if rng.random() < 0.12 else ""
    ending = rng.choice(_ENDINGS) if rng.random() < 0.2 and mark else ""
    return f"{opening}{text}{ending}"


def dressed(rng: Random, frame: str) -> str:
    """A frame with, at times, a greeting before it, an ending after it, or a careless spelling."""
    if rng.random() < 0.06:
        return frame.rstrip("?.").lower()
    opening = rng.choice(_OPENINGS) if rng.random() < 0.12 else ""
    ending = rng.choice(_ENDINGS) if rng.random() < 0.2 and frame[-1] in "?." else ""
    return f"{opening}{frame}{ending}"


def is_plural(noun: str) -> bool:
    """Whether a noun phrase of the vocabulary takes 'are'."""
    last = noun.split()[-1]
    return last.endswith("s") and not last.endswith(("ss", "us"))
