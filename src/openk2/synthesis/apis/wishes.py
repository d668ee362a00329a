"""How a user asks for an operation, in many frames and registers."""

from collections.abc import Sequence
from random import Random

from openk2.synthesis.apis.deed import object_head
from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.stating import Argument, Fact, pairs, phrase, sentence
from openk2.synthesis.apis.verbs import CLASS_OF, natural_verbs
from openk2.synthesis.apis.wording import is_plural, word_set

_FRAMES = (
    "{}.", "{}.", "{}", "Please {}.", "Please {}.", "Can you {}?", "Could you {}?", "I want to {}.",
    "I'd like to {}.", "I need to {}.", "Could you please {}?", "I want you to {}.",
    "Go ahead and {}.", "Would you {}?", "Help me {}.", "{}, please.", "Can you {} for me?",
    "I need you to {}.", "Let's {}.", "Would you mind helping me {}?", "Kindly {}.",
    "I have to {}.", "My task is to {}.", "Is it possible to {}?", "Can I {}?",
    "Try to {}.", "We need to {}.", "It's time to {}.",
)  # fmt: skip
_QUESTIONS = (
    "What {are} {the}{}?", "What {are} {the}{}?", "Can you tell me {the}{}?", "I need {the}{}.",
    "Give me {the}{}.", "Show me {the}{}.", "{The}{}, please.", "Could you check {the}{}?",
    "I'd like to see {the}{}.", "Let me see {the}{}.", "Tell me {the}{}.",
    "I am looking for {the}{}.",
    "Do you know {the}{}?", "Where can I find {the}{}?", "Any idea what {the}{} {are}?",
)  # fmt: skip
_OPENINGS = ("Hi! ", "Hello, ", "Hey, ", "Good morning. ", "Quick question: ", "One more thing. ",
             "Hi there, ", "Okay, ", "So, ", "Hey! ", "Quick one: ",
             "Sorry to bother you. ")  # fmt: skip
_ENDINGS = (" Thanks!", " Thank you.", " It's urgent.",
            " Use the tool.", " Just the result, please.",
            " Use a tool if you can.", " Thanks a lot.", " No rush.", " Then tell me what you get.",
            " Please be quick.", " Many thanks in advance.")  # fmt: skip
_REASONS = (
    "My boss asked for it", "I am writing a report", "We have an audit tomorrow",
    "The client is waiting", "I am cleaning up our account", "Something looks wrong",
    "I am preparing a demo", "We are moving to a new setup", "I forgot to do it yesterday",
    "My colleague is away today", "I am checking our records", "We had a complaint this morning",
    "The meeting starts soon", "I want to be sure",
)  # fmt: skip
_MASS = word_set("information data access feedback metadata content traffic usage status")


def noun_phrase(rng: Random, operation: Operation) -> str:
    """The object with an article where English wants one."""
    text, head = operation.object, object_head(operation.object)
    if is_plural(head):
        return rng.choice(("", "the ", "all ", "the ", "")) + text
    if CLASS_OF[operation.verb] == "create" and head not in _MASS:
        new = rng.choice(("", "", "new "))
        return f"{_article(new or text)} {new}{text}"
    return f"the {text}"


def deed(rng: Random, operation: Operation, *, plain: bool = False) -> str:
    """What the operation does, as a user says it: 'delete the invoice'."""
    verb = operation.verb if plain or rng.random() < 0.6 else rng.choice(
        natural_verbs(operation.verb))  # fmt: skip
    verb = {"return": "get", "insert": "add"}.get(verb, verb)
    noun = f"the {operation.object}" if plain else noun_phrase(rng, operation)
    return f"{verb} {noun}"


def wish(
    rng: Random, operation: Operation, arguments: Sequence[Argument], *, bare: bool = False
) -> str:
    """A request for a call with these arguments, every value in it; `bare`: no greeting."""
    facts = [fact for argument in arguments for fact in argument.facts]
    if rng.random() < 0.5:
        rng.shuffle(facts)
    choice = rng.random()
    if not facts or choice < 0.5:
        text = _one_sentence(rng, operation, facts)
    elif choice < 0.66:
        text = f"{closed(_asked(rng, operation, ''))} {sentence(rng, facts)}"
    elif choice < 0.76:
        between = rng.choice((", ", "; ", ", "))
        told = pairs(facts, rng.choice((" ", ": ", " = ")), between)
        text = f"{_upper(deed(rng, operation))}: {told}"
    elif choice < 0.82:
        lines = "\n".join(_upper(pairs([fact], ": ", "")) for fact in facts)
        text = f"{_asked(rng, operation, '')}\n{lines}"
    elif choice < 0.9:
        text = f"{_first(rng, facts)}, {_lower(_asked(rng, operation, ''))}"
    elif choice < 0.95:
        text = f"{sentence(rng, facts)} {_upper(_asked(rng, operation, ''))}"
    else:
        text = _split(rng, operation, facts)
    return text if bare else _dressed(rng, text)


def _split(rng: Random, operation: Operation, facts: list[Fact]) -> str:
    """Some facts in the request, the others after it."""
    cut = rng.randint(1, len(facts))
    text = _one_sentence(rng, operation, facts[:cut])
    return f"{closed(text)} {sentence(rng, facts[cut:])}" if cut < len(facts) else text


def closed(text: str) -> str:
    """A sentence with a mark at its end, so that another may follow."""
    return text if text[-1] in ".?!" else f"{text}."


def _first(rng: Random, facts: list[Fact]) -> str:
    told = " and ".join(f"{fact.words} {fact.said}" for fact in facts)
    return f"{rng.choice(('For', 'With', 'Given', 'Using'))} {told}"


def _one_sentence(rng: Random, operation: Operation, facts: list[Fact]) -> str:
    phrases: list[str] = []
    for fact in facts:
        said = phrase(rng, fact)
        if said.startswith("and ") and not phrases:
            said = f"with {said[4:]}"
        elif phrases and rng.random() < 0.3 and not said.startswith(("and", "(")):
            said = f"and {said}"
        phrases.append(said)
    return _asked(rng, operation, " ".join(phrases))


def _asked(rng: Random, operation: Operation, details: str) -> str:
    """The request's main sentence, its details inside."""
    if CLASS_OF[operation.verb] == "read" and rng.random() < 0.35:
        head = object_head(operation.object)
        plural = is_plural(head)
        text = f"{operation.object} {details}".strip()
        frame = rng.choice(_QUESTIONS).replace("{are}", "are" if plural else "is")
        frame = frame.replace("{the}", "the ").replace("{The}", "The ")
        return frame.replace("{}", text)
    frame = rng.choice(_FRAMES)
    text = f"{deed(rng, operation)} {details}".strip()
    return _upper(frame.replace("{}", text))


def _dressed(rng: Random, text: str) -> str:
    choice = rng.random()
    if choice < 0.08:
        text = f"{rng.choice(_REASONS)}. {_upper(text)}"
    elif choice < 0.2:
        opening = rng.choice(_OPENINGS)
        text = f"{opening}{_lower(text) if opening.endswith(', ') else text}"
    if rng.random() < 0.1 and text[-1] in ".?":
        text = f"{text}{rng.choice(_ENDINGS)}"
    return text


def _upper(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _lower(text: str) -> str:
    return text if text.startswith(("I ", "I'")) else f"{text[:1].lower()}{text[1:]}"


def _article(word: str) -> str:
    return "an" if word[0].lower() in "aeiou" and not word.startswith(("uni", "use", "eu", "one")) \
        else "a"  # fmt: skip
