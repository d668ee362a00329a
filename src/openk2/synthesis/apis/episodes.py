"""Kinds of turn: each writes a few messages onto a dialogue.

A kind says what an assistant turn itself does: the question for a missing argument is "missing",
the call after the reply "single".
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from openk2.synthesis.apis.catalogue import Link, purpose
from openk2.synthesis.apis.declaring import ApiTool, declare
from openk2.synthesis.apis.dialogue import ApiDialogue, Call, Kind
from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.outcomes import draw_failure, draw_outcome, plain_deed
from openk2.synthesis.apis.stating import Argument, argument_of, draw_argument, draw_value, phrase
from openk2.synthesis.apis.wishes import closed, deed, wish
from openk2.synthesis.apis.wording import is_plural
from openk2.synthesis.facts import fact
from openk2.synthesis.requests import listed
from openk2.synthesis.smalltalk import smalltalk, thanks
from openk2.synthesis.unknown import unknown

# A catalogue of very few operations may have no second one to call.
_MOST_DRAWS = 30

Episode = Callable[[ApiDialogue], None]


def single(dialogue: ApiDialogue) -> None:
    """Request, call, result, sentence; at times a second request that changes one value."""
    call = _draw_call(dialogue)
    dialogue.user(wish(dialogue.rng, call.tool.operation, call.arguments))
    _fulfil(dialogue, "single", call)
    if call.arguments and dialogue.rng.random() < 0.12:
        _again(dialogue, call)


def parallel(dialogue: ApiDialogue) -> None:
    """Two to four calls in one section: of one tool, or of several."""
    rng = dialogue.rng
    call = _draw_call(dialogue)
    count = rng.choice((2, 2, 2, 3, 4))
    if len(call.arguments) == 1 and call.arguments[0].parameter.field.type in (
        "string", "integer", "number") and not call.arguments[0].parameter.field.enum \
            and rng.random() < 0.6:  # fmt: skip
        return _same_tool(dialogue, call, count)
    tools = {call.tool.name: call.tool}
    for _ in range(_MOST_DRAWS):
        if len(tools) < min(count, 3):
            tool = dialogue.draw_tool()
            tools[tool.name] = tool
    calls = [call, *(_draw_call(dialogue, tool) for tool in list(tools.values())[1:])]
    if len(calls) == 1:
        dialogue.user(wish(rng, call.tool.operation, call.arguments))
        return _fulfil(dialogue, "single", call)
    texts = [wish(rng, c.tool.operation, c.arguments, bare=True) for c in calls]
    joint = rng.choice((" Also, ", " And ", "\n", " Then ", " Besides, ", " After that, ", " "))
    if rng.random() < 0.2:
        text = "\n".join(f"{n}. {t}" for n, t in enumerate(texts, 1))
    else:
        first, *rest = [closed(t) for t in texts]
        if joint.strip() and joint != "\n":
            rest = [_lowered(t) for t in rest]
        text = joint.join([first, *rest])
    dialogue.user(text)
    return _fulfil(dialogue, "parallel", *calls)


def sequence(dialogue: ApiDialogue) -> None:
    """Two steps: what the first call returns is the second's argument."""
    rng = dialogue.rng
    links = dialogue.catalogue.links
    link = rng.choice(links) if links else None
    tools = _declare_link(dialogue, link) if link else None
    if link is None or tools is None:
        single(dialogue)
        return
    first, second, parameter = tools
    asked = dialogue.draw_arguments(first)
    value = draw_value(rng, dialogue.split, link.field.kind, parameter.parameter.field.type)
    needed = argument_of(parameter.parameter, value)
    others = [a for a in dialogue.draw_arguments(second)
              if a.parameter is not parameter.parameter]  # fmt: skip
    one = Call(first, asked, draw_outcome(rng, dialogue.split, first, asked,
                                          [(link.field, value)]))  # fmt: skip
    given = [needed, *others] if rng.random() < 0.5 else [*others, needed]
    two = Call(second, given, draw_outcome(rng, dialogue.split, second, given))
    step = f"{deed(rng, second.operation)} {_phrases(dialogue, others)}".strip()
    words = link.field.words
    uses = rng.choice((f"for its {words}", f"using the {words} from the result",
                       f"with that {words}", f"with the {words} you get"))  # fmt: skip
    start = wish(rng, first.operation, asked, bare=True)
    if "\n" in start or start.endswith("?") or ". " in start or "? " in start:
        dialogue.user(
            f"{closed(start)} {rng.choice(('Then', 'After that,', 'Next,'))} {step} {uses}."
        )
    else:
        dialogue.user(_in_one(rng, start.rstrip("."), step, uses))
    dialogue.call("sequence", one)
    _fulfil(dialogue, "sequence", two)


def missing(dialogue: ApiDialogue) -> None:
    """A required argument is missing: the assistant asks, the user tells, then comes the call."""
    rng = dialogue.rng
    tool = dialogue.draw_tool(required=True)
    call = _draw_call(dialogue, tool=tool)
    required = [a for a in call.arguments if a.parameter.field.required]
    lacking = rng.sample(required, 2 if len(required) > 1 and rng.random() < 0.35 else 1)
    told = [a for a in call.arguments if a not in lacking]
    dialogue.user(wish(rng, tool.operation, told))
    facts = [fact for argument in lacking for fact in argument.facts]
    nouns = listed([f"the {fact.words}" for fact in facts])
    be = "are" if len(facts) > 1 or is_plural(facts[0].words.split()[-1]) else "is"
    it = "they" if len(facts) > 1 else "it"
    forms = (f"What {be} {nouns}?", f"Sure. What {be} {nouns}?", f"Please tell me {nouns}.",
             f"I need {nouns} to {plain_deed(tool)}. What {be} {it}?",
             f"Could you give me {nouns}?")  # fmt: skip
    dialogue.say(rng.choice(forms), "missing")
    if len(facts) == 1 and rng.random() < 0.6:
        said = facts[0].said
        text = rng.choice((said, said, f"It's {said}.", f"{said}, please.", f"Use {said}.",
                           f"The {facts[0].words} is {said}.", f"{said}."))  # fmt: skip
    else:
        text = rng.choice((
            listed([f"the {f.words} is {f.said}" for f in facts]) + ".",
            ", ".join(f"{f.words}: {f.said}" for f in facts),
            ", ".join(f"{f.words} {f.said}" for f in facts),
        ))  # fmt: skip
        text = f"{text[0].upper()}{text[1:]}" if text.startswith("the ") else text
    dialogue.user(text)
    _fulfil(dialogue, "single", call)


def ambiguous(dialogue: ApiDialogue) -> None:
    """Two tools fit a short request: the assistant asks which, the user says it."""
    rng = dialogue.rng
    twins = dialogue.catalogue.twins
    one, two = rng.choice(twins) if twins else (None, None)
    if one is None or two is None or dialogue.tools:
        single(dialogue)
        return
    first, second = dialogue.add(one), dialogue.add(two)
    if first is None or second is None:
        dialogue.clear()
        single(dialogue)
        return
    call = _draw_call(dialogue, tool=rng.choice((first, second)))
    chosen, noun = call.tool.operation.object, one.object.split()[-1]
    other = {p.field.words for p in (second if call.tool is first else first).parameters}
    shared = all(a.parameter.field.words in other for a in call.arguments)
    told = call.arguments if shared and rng.random() < 0.7 else []
    short = Operation(one.provider, "", call.tool.operation.verb, noun, "", (), (), False)
    dialogue.user(wish(rng, short, told))
    options = f"the {one.object} or the {two.object}"
    if rng.random() < 0.5:
        options = f"the {two.object} or the {one.object}"
    dialogue.say(rng.choice((f"Do you mean {options}?", f"Which do you mean, {options}?",
                             f"I can do that for {options}. Which one?")), "ambiguous")  # fmt: skip
    reply = rng.choice((f"The {chosen}.", f"{chosen}", f"I mean the {chosen}.", f"The {chosen}, "
                        "please."))  # fmt: skip
    if not told and call.arguments:
        facts = [f for a in call.arguments for f in a.facts]
        reply = f"{reply.rstrip('.')}, with {listed([f'{f.words} {f.said}' for f in facts])}."
    dialogue.user(reply)
    _fulfil(dialogue, "single", call)


def refused(dialogue: ApiDialogue) -> None:
    """No declared tool serves the request: the assistant says so plainly."""
    rng = dialogue.rng
    near = rng.choice(dialogue.tools).operation if dialogue.tools else None
    for _ in range(50):
        operation = dialogue.catalogue.draw(rng) if near is None or rng.random() < 0.4 else \
            dialogue.catalogue.draw_near(rng, near)  # fmt: skip
        if dialogue.admits(operation) and not dialogue.serves(operation):
            break
    else:
        return single(dialogue)
    tool = declare(rng, operation)
    dialogue.absent.add(purpose(operation))
    dialogue.user(wish(rng, operation, dialogue.draw_arguments(tool)))
    told = plain_deed(tool)
    forms = (f"I'm sorry, I have no tool that can {told}.", f"Sorry, none of my tools can {told}.",
             f"I cannot {told}: no tool here does that.", f"I have no tool to {told}.",
             f"I'm afraid I can't {told} with the tools I have.")  # fmt: skip
    dialogue.say(rng.choice(forms), "refused")
    return None


def failure(dialogue: ApiDialogue) -> None:
    """The tool reports an error: told, and at times tried again with the value corrected."""
    rng = dialogue.rng
    call = _draw_call(dialogue)
    scalars = [a for a in call.arguments if isinstance(a.value, str | int | float)
               and not isinstance(a.value, bool) and not a.parameter.field.enum]  # fmt: skip
    wrong = rng.choice(scalars) if scalars and rng.random() < 0.65 else None
    outcome = draw_failure(rng, call.tool, wrong)
    dialogue.user(wish(rng, call.tool.operation, call.arguments))
    dialogue.call("single", Call(call.tool, call.arguments, outcome))
    dialogue.say(outcome.answer, "error")
    choice = rng.random()
    if wrong is not None and choice < 0.6:
        right = draw_argument(rng, dialogue.split, wrong.parameter)
        said, words = right.facts[0].said, right.facts[0].words
        dialogue.user(rng.choice((
            f"Sorry, the {words} is {said}.", f"Then try {said}.", f"My mistake, it's {said}.",
            f"Try {words} {said} instead.", f"Oh, I meant {said}.", f"Use {said} then.",
        )))  # fmt: skip
        arguments = [right if a is wrong else a for a in call.arguments]
        _fulfil(dialogue, "single", Call(call.tool, arguments, draw_outcome(
            rng, dialogue.split, call.tool, arguments)))  # fmt: skip
    elif wrong is None and choice < 0.4:
        dialogue.user(rng.choice(("Try again.", "Please try again.", "Can you try once more?",
                                  "Retry, please.", "Give it another try.")))  # fmt: skip
        _fulfil(dialogue, "single", call)


def follow_up(dialogue: ApiDialogue) -> None:
    """A question that an earlier result answers: no second call."""
    rng = dialogue.rng
    call = _draw_call(dialogue)
    dialogue.user(wish(rng, call.tool.operation, call.arguments))
    _fulfil(dialogue, "single", call)
    if call.outcome.facts:
        words, value = rng.choice(call.outcome.facts)
        be = "are" if is_plural(words.split(" of ")[0].split()[-1]) else "is"
        dialogue.user(rng.choice((
            f"What {be} the {words} again?", f"Remind me, what {be} the {words}?",
            f"Sorry, what did you say the {words} {be}?", f"And the {words}?",
            f"Can you repeat the {words}?", f"So what {be} the {words}?",
        )))  # fmt: skip
        dialogue.say(f"The {words} {be} {value}.", "none_needed")


def chat(dialogue: ApiDialogue) -> None:
    """Small talk, a common fact, or a question that the model cannot answer: no tool is needed."""
    makers = (smalltalk, fact, unknown)
    maker = dialogue.rng.choices(makers, (5, 4, 2))[0]
    asked, answer = maker(dialogue.rng, dialogue.split)
    if maker is not smalltalk and not dialogue.forbid(asked):
        asked, answer = smalltalk(dialogue.rng, dialogue.split)
    dialogue.user(asked)
    dialogue.say(answer, "talk")


def farewell(dialogue: ApiDialogue) -> None:
    """Thanks at the end."""
    asked, answer = thanks(dialogue.rng, dialogue.split)
    dialogue.user(asked)
    dialogue.say(answer, "talk")


def _again(dialogue: ApiDialogue, call: Call) -> None:
    """The same call with one value changed."""
    rng = dialogue.rng
    changed = rng.choice(call.arguments)
    other = draw_argument(rng, dialogue.split, changed.parameter)
    if other.value == changed.value or isinstance(other.value, dict | bool):
        return
    said, words = other.facts[0].said, other.facts[0].words
    dialogue.user(rng.choice((
        f"And for {words} {said}?", f"Now do the same with {words} {said}.",
        f"Same again, but with {words} {said}.", f"What about {words} {said}?",
        f"Please repeat that with {said} as the {words}.",
    )))  # fmt: skip
    arguments = [other if a is changed else a for a in call.arguments]
    outcome = draw_outcome(rng, dialogue.split, call.tool, arguments)
    _fulfil(dialogue, "single", Call(call.tool, arguments, outcome))


def _same_tool(dialogue: ApiDialogue, call: Call, count: int) -> None:
    rng, parameter = dialogue.rng, call.arguments[0].parameter
    found = {str(call.arguments[0].value): call.arguments[0]}
    while len(found) < count:
        other = draw_argument(rng, dialogue.split, parameter)
        found[str(other.value)] = other
    words = parameter.field.words
    calls = []
    for argument in found.values():
        outcome = draw_outcome(rng, dialogue.split, call.tool, [argument])
        answer = f"For {argument.facts[0].said}: {_lowered(outcome.answer)}"
        calls.append(Call(call.tool, [argument], replace(outcome, answer=answer, named="")))
    values = listed([a.facts[0].said for a in found.values()])
    forms = (f"for {words} {values}", f"with {words} {values}, each", f"once for each {words}: "
             f"{values}", f"for these: {values} ({words})")  # fmt: skip
    lead = wish(rng, call.tool.operation, [], bare=True)
    mark = "?" if lead[-1] == "?" else "."
    dialogue.user(f"{lead.rstrip('.?! ')} {rng.choice(forms)}{mark}")
    _fulfil(dialogue, "parallel", *calls)


def _draw_call(dialogue: ApiDialogue, tool: ApiTool | None = None) -> Call:
    tool = tool or dialogue.draw_tool()
    arguments = dialogue.draw_arguments(tool)
    outcome = draw_outcome(dialogue.rng, dialogue.split, tool, arguments)
    return Call(tool, arguments, outcome)


def _fulfil(dialogue: ApiDialogue, kind: Kind, *calls: Call) -> None:
    dialogue.call(kind, *calls)
    told = [call.outcome.answer for call in calls]
    if len(calls) > 1:
        told = [call.outcome.named or call.outcome.answer for call in calls]
    dialogue.say(" ".join(told), "answer")


def _phrases(dialogue: ApiDialogue, arguments: list[Argument]) -> str:
    said = [phrase(dialogue.rng, fact) for a in arguments for fact in a.facts]
    return " ".join(f"with {text[4:]}" if text.startswith("and ") else text for text in said)


def _declare_link(dialogue: ApiDialogue, link: Link) -> tuple[ApiTool, ApiTool, Argument] | None:
    first = dialogue.add(link.first)
    second = dialogue.add(link.second) if first else None
    if first is None or second is None:
        return None
    for parameter in second.parameters:
        if parameter.field is link.field:
            return first, second, argument_of(parameter, "")
    return None


def _lowered(text: str) -> str:
    return text if text.startswith(("I ", "I'")) else f"{text[0].lower()}{text[1:]}"


def _in_one(rng: Random, start: str, step: str, uses: str) -> str:
    """Two steps in one sentence."""
    forms = (f"{start}, then {step} {uses}.", f"{start} and then {step} {uses}.",
             f"{start}. Then {step} {uses}.", f"{start}. After that, {step} {uses}.")  # fmt: skip
    return rng.choice(forms)
