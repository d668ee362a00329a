"""Tools, composed at random from a vocabulary of tasks and kinds of parameter.

A `Task` says what can be wanted ("book a table"), a `Kind` what can be told ("in Paris"). A `Tool`
is one way to declare a task: a name in one of several styles, a description, a choice of parameters
with names of their own. `Tool.declaration()` is the OpenAI form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from openk2.synthesis.values import Sampler, Split, Value, code, pseudo_word

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of parameter.

    names: what it may be called, as words ("check in date"); "q=search term" is declared as `q` and
        spoken of as the search term.
    said: how a request states it; `{}` stands for the value. A boolean has two: for true
        and for false.
    choices: a closed set of strings, declared as an enum.
    """

    names: tuple[str, ...]
    said: tuple[str, ...]
    sample: Sampler
    type: Literal["string", "integer", "number", "boolean", "array"] = "string"
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """Something that can be wanted.

    mode: "ask" for facts, "search" for a list of things, "do" for an act.
    noun: with its article ("the exchange rate", "a table"); plural without one for a search.
    verb, done: the act and its participle ("book", "booked"); empty unless mode is "do".
    needs, may: kinds of required and optional parameters, keys of the vocabulary's kinds.
    gives: the facts of a result and how to draw them.
    natural: requests in a person's own words, `{kind}` where an argument stands; each names every
        required kind ("What time is it in {city}?").
    """

    mode: Literal["ask", "search", "do"]
    noun: str
    needs: tuple[str, ...]
    may: tuple[str, ...]
    gives: Mapping[str, Sampler]
    verb: str = ""
    done: str = ""
    natural: tuple[str, ...] = ()

    @property
    def noun_words(self) -> str:
        """The noun without its article."""
        first, _, rest = self.noun.partition(" ")
        return rest if first in ("a", "an", "the", "my") else self.noun


@dataclass(frozen=True)
class Vocabulary:
    """What one split may speak of. Two splits share no task, verb or kind."""

    split: Split
    ask_verbs: tuple[str, ...]
    search_verbs: tuple[str, ...]
    kinds: Mapping[str, Kind]
    domains: Mapping[str, tuple[Task, ...]]
    nonce_share: float = 0.0


@dataclass(frozen=True)
class Parameter:
    """One parameter of one tool: `key` names its kind, `words` its spoken name."""

    name: str
    key: str
    words: str
    kind: Kind
    required: bool
    description: str

    def schema(self) -> dict[str, Any]:
        """The parameter's JSON Schema."""
        schema: dict[str, Any] = {"type": self.kind.type}
        if self.kind.choices:
            schema["enum"] = list(self.kind.choices)
        if self.kind.type == "array":
            schema["items"] = {"type": "string"}
        if self.description:
            schema["description"] = self.description
        return schema

    def draw(self, rng: Random, split: Split) -> Value | list[Value]:
        """A value for this parameter."""
        if self.kind.type != "array":
            return self.kind.sample(rng, split)
        drawn = [self.kind.sample(rng, split) for _ in range(rng.randint(1, 3))]
        return list(dict.fromkeys(drawn))


@dataclass(frozen=True)
class Tool:
    """A task with a name, a description and parameters."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    task: Task
    domain: str
    closed: bool = False

    def declaration(self) -> dict[str, Any]:
        """The tool as an OpenAI client declares it."""
        schema: dict[str, Any] = {
            "type": "object",
            "required": [p.name for p in self.parameters if p.required],
            "properties": {p.name: p.schema() for p in self.parameters},
        }
        if self.closed:
            schema["additionalProperties"] = False
        function = {"name": self.name, "description": self.description, "parameters": schema}
        return {"type": "function", "function": function}

    def required(self) -> tuple[Parameter, ...]:
        """The parameters that every call must give."""
        return tuple(p for p in self.parameters if p.required)


NameCase = Literal["snake", "camel", "hyphen", "dotted", "plain"]


@dataclass(frozen=True)
class Style:
    """How one author writes names and descriptions: a tool is in one style throughout."""

    name_case: NameCase
    described: bool

    def tool_name(self, verb: str, noun: str, domain: str) -> str:
        """A function name for a verb and a noun: `getExchangeRate`, `rates.get_exchange_rate`."""
        words = [*verb.split(), *noun.split()]
        if self.name_case == "dotted":
            return f"{domain.replace(' ', '_')}.{'_'.join(words)}"
        if self.name_case == "plain":
            return "_".join(noun.split()) if verb in ("get", "read") else "_".join(words)
        return self.join(words)

    def parameter_name(self, words: str) -> str:
        """A parameter name: `check_in`, `checkIn`."""
        return self.join(words.split()) if self.name_case == "camel" else "_".join(words.split())

    def join(self, words: list[str]) -> str:
        """Words as one identifier."""
        words = [word.lower() for word in words]
        if self.name_case == "camel":
            return words[0] + "".join(word.capitalize() for word in words[1:])
        return ("-" if self.name_case == "hyphen" else "_").join(words)


def draw_style(rng: Random) -> Style:
    """Snake case half of the time, as in the field."""
    cases: tuple[NameCase, ...] = ("snake", "camel", "hyphen", "dotted", "plain")
    case = rng.choices(cases, (10, 4, 2, 3, 1))[0]
    return Style(case, rng.random() < 0.85)


def make_tool(rng: Random, vocabulary: Vocabulary, task: Task, domain: str) -> Tool:
    """Declare `task`: its required parameters, and some of its optional ones."""
    style = draw_style(rng)
    optional = [key for key in task.may if rng.random() < 0.5]
    keys = [(key, True) for key in task.needs] + [(key, False) for key in optional]
    parameters: dict[str, Parameter] = {}
    for key, required in keys:
        parameter = _make_parameter(rng, key, vocabulary.kinds[key], style, required)
        parameters.setdefault(parameter.name, parameter)
    verb = _verb(rng, vocabulary, task)
    name = style.tool_name(verb, task.noun_words, domain)
    description = _tool_description(rng, vocabulary, task)
    return Tool(name, description, tuple(parameters.values()), task, domain, rng.random() < 0.1)


def draw_tool(rng: Random, vocabulary: Vocabulary, domain: str | None = None) -> Tool:
    """Any tool of the vocabulary, or of one of its domains; a share are about invented things."""
    if domain is None and rng.random() < vocabulary.nonce_share:
        return make_nonce_tool(rng, vocabulary)
    domain = domain or rng.choice(tuple(vocabulary.domains))
    return make_tool(rng, vocabulary, rng.choice(vocabulary.domains[domain]), domain)


def make_nonce_tool(rng: Random, vocabulary: Vocabulary) -> Tool:
    """A tool about something that does not exist, so that only its declaration explains it."""
    noun = pseudo_word(rng)
    suffix = rng.choice(("", " level", " status", " count", " record", " index", " plan"))
    samplers = [kind.sample for kind in vocabulary.kinds.values() if kind.type == "string"]
    kinds = {}
    for _ in range(rng.choice((1, 1, 2))):
        words = f"{pseudo_word(rng)}{rng.choice(('', ' id', ' name', ' code', ' type'))}"
        sampler = rng.choice(samplers) if rng.random() < 0.5 else code
        kinds[words] = Kind((words,), ("for {}", f"for {words} {{}}", f"of {words} {{}}"), sampler)
    gives = {pseudo_word(rng) if rng.random() < 0.5 else "value": rng.choice(samplers)}
    ask = rng.random() < 0.6
    verb = "" if ask else pseudo_word(rng)
    task = Task("ask" if ask else "do", f"the {noun}{suffix}", tuple(kinds), (), gives,
                verb, f"{verb}ed")  # fmt: skip
    own = Vocabulary(vocabulary.split, vocabulary.ask_verbs, (), kinds, {})
    return make_tool(rng, own, task, pseudo_word(rng))


def _make_parameter(rng: Random, key: str, kind: Kind, style: Style, required: bool) -> Parameter:
    written, _, spoken = rng.choice(kind.names).partition("=")
    words = spoken or written
    forms: tuple[str, ...] = (
        f"The {words}",
        f"The {words}",
        f"{words.capitalize()}",
        f"The {words} to use",
    )
    if words.endswith(" name"):
        forms = (*forms, f"Name of the {words.removesuffix(' name')}")
    description = rng.choice(forms) if style.described else ""
    return Parameter(style.parameter_name(written), key, words, kind, required, description)


def _verb(rng: Random, vocabulary: Vocabulary, task: Task) -> str:
    if task.mode == "do":
        return task.verb
    return rng.choice(vocabulary.ask_verbs if task.mode == "ask" else vocabulary.search_verbs)


def _tool_description(rng: Random, vocabulary: Vocabulary, task: Task) -> str:
    if task.mode == "do":
        verb = task.verb.capitalize()
        short = f"{verb} {task.noun}"
        forms = (f"{short}.", f"{short}.", f"Use this to {task.verb} {task.noun}.",
                 f"{short}. Call this when the user wants to {task.verb} {task.noun}.")  # fmt: skip
        return rng.choice(forms)
    verbs = vocabulary.ask_verbs if task.mode == "ask" else vocabulary.search_verbs
    verb = rng.choice([v for v in verbs if " " not in v]).capitalize()
    about = f"Call this when the user asks about {task.noun}."
    about_forms = (
        f"{verb} {task.noun}.",
        f"{verb} {task.noun}.",
        f"Returns {task.noun}.",
        f"{verb} {task.noun}. {about}",
        f"Use this to {verb.lower()} {task.noun}.",
    )
    return rng.choice(about_forms)
